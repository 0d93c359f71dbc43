"""`skiploop evaluate`: judge policies on held-out questions."""

from __future__ import annotations

from typing import Annotated

import typer

from skiploop.cli.options import (
    ConfigFile,
    Device,
    Folder,
    Json,
    Memory,
    Overrides,
    Seed,
    Threads,
    read_settings,
)
from skiploop.runs.policies import controls_of, patterns


def evaluate(
    out: Folder,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help=f"{', '.join(patterns())}; several with commas. "
            "[those that the run has something for]"
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Held-out questions at most. [200]", min=1)
    ] = None,
    fresh: Annotated[
        int | None,
        typer.Option(help="So many held-out questions that this run has not read yet.", min=1),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Part of the task. [test]")] = None,
    k: Annotated[int | None, typer.Option(help="Programs for the oracle. [5]", min=1)] = None,
    controls: Annotated[
        bool | None,
        typer.Option(
            "--controls/--no-controls",
            help=f"Judge {' and '.join(controls_of(['selector']))} beside a selector. [yes]",
        ),
    ] = None,
    device: Device = "cpu",
    memory: Memory = None,
    threads: Threads = 1,
    seed: Seed = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Compare policies with the plain model on held-out questions, and write the report.

    Example: skiploop evaluate --run RUN --policy selector,static --limit 200
    """
    names = [name.strip() for given in policy or () for name in given.split(",") if name.strip()]
    flags: dict[str, dict[str, object]] = {
        "evaluate": {
            "policies": names or None,
            "limit": limit,
            "fresh": fresh,
            "split": split,
            "k": k,
            "controls": controls,
        },
        "run": {"seed": seed},
    }
    sections = read_settings(("evaluate", "run"), config, overrides, flags)

    from skiploop.cli import console
    from skiploop.config import from_dict
    from skiploop.runs import pipeline
    from skiploop.runs.session import Run

    console.prepare(threads)
    evaluate_config = from_dict(pipeline.EvaluateConfig, sections["evaluate"], "evaluate")
    run = Run.open(out, device=device, memory=memory)
    run.check(sections["run"])
    with console.progress_bar() as bar:
        progress = console.TrialProgress(bar, "evaluate")
        with console.resumable([progress], out):
            report = pipeline.evaluate(run, evaluate_config, progress, progress.expect)
    console.print_report(report, out)
    if as_json:
        console.print_json({"run": str(out), **report.figures()})
