"""Options that say where a model runs, and what is opened to run it there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skiploop.cli.console import prepare
from skiploop.config import from_dict

if TYPE_CHECKING:
    from skiploop.runs.session import Run
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

    def new_run(self, folder: Path, settings: Mapping[str, object]) -> Run:
        """Return the run folder of some settings, or a new one; see `Run.create`."""
        from skiploop.runs.folder import RunConfig
        from skiploop.runs.session import Run

        prepare(self.threads)
        made = from_dict(RunConfig, settings, "run")
        return Run.create(folder, made, device=self.device, memory=self.memory)

    def opened_run(self, folder: Path) -> Run:
        """Return a run folder that is there; see `Run.open`."""
        from skiploop.runs.session import Run

        prepare(self.threads)
        return Run.open(folder, device=self.device, memory=self.memory)

    def load(self, model: str, dtype: str | None, *, exact: bool = False) -> LayerStack:
        """Return a model, loaded there."""
        from skiploop.loading import load

        prepare(self.threads)
        return load(model, dtype=dtype, device=self.device, memory=self.memory, exact=exact)
