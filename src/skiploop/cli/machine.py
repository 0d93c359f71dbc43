"""Options that say where a model runs, and loading it there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from skiploop.stack import LayerStack

Device = Annotated[str, typer.Option(help="Where the model runs: cpu, cuda, cuda:1, ...")]
Threads = Annotated[
    int,
    typer.Option(help="Processor threads; more than one only on an idle machine.", min=1, max=1024),
]


def _bytes(text: str) -> int | None:
    """Return a size in gigabytes as bytes; None for `auto`."""
    if text == "auto":
        return None
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = math.nan
    if not 1e-6 <= gigabytes <= 1e6:
        raise typer.BadParameter(f"{text!r} is no size: give gigabytes such as 20, or auto")
    return int(gigabytes * 10**9)


Memory = Annotated[
    int | None,
    typer.Option(
        help="Gigabytes for the keys and values of one batch; auto is 1 on a CPU, on a GPU 0.6 of "
        "what is free.",
        parser=_bytes,
        metavar="<gigabytes or auto>",
        show_default="auto",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where a model runs."""

    device: Device = "cpu"
    memory: Memory = None
    threads: Threads = 1

    def load(self, model: str, dtype: str | None, *, exact: bool = False) -> LayerStack:
        """Return a model, loaded there."""
        from skiploop.loading import load

        return load(model, dtype=dtype, device=self.device, memory=self.memory, exact=exact)
