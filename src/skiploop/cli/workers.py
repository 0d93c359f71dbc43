"""Options of commands whose work many processes or machines can share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from skiploop.backends.base import MAX_RETRIES

if TYPE_CHECKING:
    from skiploop.runs.session import Run


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """Who does the work."""

    backend: Annotated[
        str | None,
        typer.Option(
            help="Who runs the model: local, processes of this machine; ray, actors of a cluster. "
            "[this process alone, local with --workers]",
        ),
    ] = None
    workers: Annotated[
        int | None,
        typer.Option(help="Processes with a replica of the model each. [one a GPU or core]", min=1),
    ] = None
    ray_address: Annotated[
        str | None,
        typer.Option(help="Ray cluster to join, such as auto. [one is started on this machine]"),
    ] = None
    max_retries: Annotated[
        int, typer.Option(help="Times that the job of a lost worker is tried again.", min=0)
    ] = MAX_RETRIES

    @contextmanager
    def working(self, run: Run, n_threads: int) -> Iterator[None]:
        """Give a run workers as long as a command works, if any were asked for."""
        if self.backend is None and self.workers is None and self.ray_address is None:
            yield
            return
        from skiploop.runs.workers import WorkersConfig, start

        config = WorkersConfig(
            backend=self.backend or "local",
            n_workers=self.workers,
            ray_address=self.ray_address,
            max_retries=self.max_retries,
        )
        with start(
            config, device=run.device, memory=run.memory, n_threads=n_threads
        ) as run.backend:
            yield
