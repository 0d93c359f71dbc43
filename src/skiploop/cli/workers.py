"""Options of commands whose work many processes or machines can share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from skiploop.backends.base import MAX_RETRIES

if TYPE_CHECKING:
    from skiploop.runs.session import Run

BackendName = Annotated[
    str | None,
    typer.Option(
        "--backend",
        help="Who runs the model: local, processes of this machine; ray, actors of a cluster. "
        "[this process alone, local with --workers]",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(help="Processes with a replica of the model each. [one a GPU or core]", min=1),
]
RayAddress = Annotated[
    str | None,
    typer.Option(help="Ray cluster to join, such as auto. [one is started on this machine]"),
]
MaxRetries = Annotated[
    int, typer.Option(help="Times that the job of a lost worker is tried again.", min=0)
]


@contextmanager
def working(
    run: Run,
    backend: str | None,
    workers: int | None,
    ray_address: str | None,
    max_retries: int = MAX_RETRIES,
    *,
    threads: int = 1,
) -> Iterator[None]:
    """Give a run workers as long as a command works, if any were asked for."""
    if backend is None and workers is None and ray_address is None:
        yield
        return
    from skiploop.runs.workers import WorkersConfig, start

    config = WorkersConfig(
        backend=backend or "local",
        n_workers=workers,
        ray_address=ray_address,
        max_retries=max_retries,
    )
    with start(config, device=run.device, memory=run.memory, n_threads=threads) as run.backend:
        yield
