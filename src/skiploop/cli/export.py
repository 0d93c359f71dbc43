"""`skiploop export`: make the selector of a run small enough to ship."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skiploop.cli.options import Device, Json, Memory, Threads

RunFolder = Annotated[Path, typer.Option("--run", help="Run folder with a trained selector.")]


def export(
    run: RunFolder,
    out: Annotated[Path, typer.Option(help="Folder to write the policy into.")],
    landmarks: Annotated[
        int, typer.Option(help="Questions that the selector keeps of those it learned from.", min=1)
    ] = 800,
    device: Device = "cpu",
    memory: Memory = None,
    threads: Threads = 1,
    as_json: Json = False,
) -> None:
    """Write the selector of a run as a small policy that carries the form of its prompts.

    It compares a new question with some of those that it learned from, not with all. What that
    costs is printed, and written into a card beside the policy.

    Example: skiploop export --run RUN --out POLICY
    """
    from skiploop.cli import console
    from skiploop.config import to_dict
    from skiploop.runs.export import export_selector
    from skiploop.runs.session import Run

    console.prepare(threads)
    opened = Run.open(run, device=device, memory=memory)
    kept = export_selector(opened, landmarks, out)
    print(kept.summary())
    if as_json:
        console.print_json({"policy": str(out), "kept": to_dict(kept), **console.made_by()})
