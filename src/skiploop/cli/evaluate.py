"""`skiploop evaluate`: judge policies on held-out questions."""

from __future__ import annotations

from typing import Annotated

import typer

from skiploop.cli import console
from skiploop.cli.groups import with_groups
from skiploop.cli.machine import Machine
from skiploop.cli.options import Folder, Json, Prompt, PromptOf, SettingOptions, TaskOptions, listed
from skiploop.cli.workers import WorkerOptions
from skiploop.config import from_dict
from skiploop.errors import ConfigError
from skiploop.runs.policies import controls_of, patterns


@with_groups
def evaluate(
    *,
    out: Folder,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help=f"{', '.join(patterns())}; several with commas. "
            "[those that the run has something for]"
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="Another task to judge on, see 'skiploop tasks'. [that of the run]"),
    ] = None,
    options: TaskOptions,
    prompt: PromptOf = Prompt.task,
    limit: Annotated[
        int | None, typer.Option(help="Held-out questions. [200, or all]", min=1)
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
    machine: Machine,
    workers: WorkerOptions,
    settings: SettingOptions,
    as_json: Json = False,
) -> None:
    """Compare policies with the plain model on held-out questions, and write the report.

    With --task, what was learned in the run is judged on the questions of another task.

    Example: skiploop evaluate --run RUN --policy selector,static --limit 200

    Example: skiploop evaluate --run RUN --policy selector --task arithmetic --level 4
    """
    of_task = options.listed()
    if task is None and (of_task or prompt is Prompt.run):
        raise ConfigError("--level, --option and --prompt are of another task: name it with --task")
    names = listed(policy)
    flags: dict[str, dict[str, object]] = {
        "evaluate": {
            "policies": names or None,
            "limit": limit,
            "fresh": fresh,
            "split": split,
            "k": k,
            "controls": controls,
        },
        "run": {"seed": settings.seed},
    }
    sections = settings.merged(("evaluate", "run"), flags)

    from skiploop.report.comparison import harm_lines
    from skiploop.runs import pipeline
    from skiploop.runs.judging import EvaluateConfig

    config = from_dict(EvaluateConfig, sections["evaluate"], "evaluate")
    run = machine.opened_run(out)
    run.check(sections["run"])
    with workers.working(run, machine.threads):
        as_run = prompt is Prompt.run
        on = run if task is None else run.beside(task, of_task or (), as_trained=as_run)
        with console.counted(out, "evaluate") as progress:
            report = pipeline.evaluate(run, config, progress, on)
    console.print_report(report, on.folder)
    if on is not run:
        print("\n".join(harm_lines(report.policies)))
    if as_json:
        console.print_json({"run": str(on.folder), **report.figures()})
