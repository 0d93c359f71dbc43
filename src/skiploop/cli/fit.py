"""`skiploop fit`: from a file of questions to a judged choice, in one command."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skiploop.cli import console
from skiploop.cli.groups import with_groups
from skiploop.cli.machine import Machine
from skiploop.cli.options import (
    PATH,
    Folder,
    Json,
    ModelOptions,
    SettingOptions,
    TaskOptions,
    run_flags,
)
from skiploop.cli.watch import Watch
from skiploop.cli.workers import WorkerOptions
from skiploop.errors import ConfigError
from skiploop.evaluation.outcome import Goal

if TYPE_CHECKING:
    from skiploop.runs.fit import FitPlan, Fitted
    from skiploop.runs.session import Run


@with_groups
def fit(
    *,
    out: Folder,
    data: Annotated[
        Path | None,
        typer.Option(help="File of questions, short for --task jsonl:FILE.", **PATH),
    ] = None,
    goal: Annotated[
        Goal,
        typer.Option(help="More right answers, fewer layer passes, or whichever can be had."),
    ] = Goal.accuracy,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Look at the questions; nothing starts.")
    ] = False,
    task: Annotated[
        str | None, typer.Option("--task", help="A task in place of a file, see 'skiploop tasks'.")
    ] = None,
    options: TaskOptions,
    model: ModelOptions,
    machine: Machine,
    workers: WorkerOptions,
    settings: SettingOptions,
    as_json: Json = False,
) -> None:
    """Fit a choice of programs to questions of your own, and say what it gains.

    Looks at the questions, makes a menu, learns a choice, judges it on questions that nothing was
    learned from, and ends with one sentence. Started again, it goes on where it stopped.

    Example: skiploop fit --data my.jsonl --out RUN

    Example: skiploop fit --data my.jsonl --goal layers --model HuggingFaceTB/SmolLM2-360M --out RUN
    """
    if data is not None and task is not None:
        raise ConfigError(f"--data {data} and --task {task} both say what is asked: give one")
    asked = task if data is None else f"jsonl:{data}"
    flags: dict[str, dict[str, object]] = {
        "run": run_flags(model, asked, options, settings.seed),
        "selector": {"seed": settings.seed},
    }
    sections = settings.merged(("run", "menu", "selector", "evaluate"), flags)

    from skiploop.models.outline import outline
    from skiploop.report.data import data_lines
    from skiploop.runs.fit import check, estimate_fit, plan
    from skiploop.runs.work import stated_rate

    if "task" not in sections["run"]:
        raise ConfigError("there are no questions: give --data FILE, or a --task")
    run = machine.new_run(out, sections["run"])
    known = outline(run.config.model)
    planned = plan(run, goal, sections, known)
    checked = check(run, planned)
    print("\n".join(data_lines(checked)))
    work = estimate_fit(run, planned, known, stated_rate(machine.device, machine.threads))
    console.say(work.words())
    figures = {"run": str(out), "data": checked, "estimate": work.figures()}
    if not estimate:
        with workers.working(run, machine.threads):
            figures |= _fitted(run, planned)
    if as_json:
        console.print_json(figures)


def _fitted(run: Run, planned: FitPlan) -> dict[str, object]:
    """Run what is not there, print what it comes to and what to type next; return the figures."""
    from skiploop.report.outcome import outcome_sentence
    from skiploop.report.tables.policies import policies_table
    from skiploop.runs.fit import fit

    started = time.perf_counter()
    with console.progress_bar() as bar:
        watch = Watch(bar)
        with console.resumable(watch.stages, run.folder):
            found = fit(run, planned, watch)
    report = found.report
    console.print_table(policies_table(report.policies, report.timing).transposed())
    sentence, commands = outcome_sentence(found.outcome), _next(run, found)
    print(f"report: {run.folder / 'report' / 'index.html'}\n\n{sentence}\n\nNext:")
    for command in commands:
        print(f"  {shlex.join(command)}")
    return {
        "policies": report.policies,
        "outcome": found.outcome,
        "layers": found.layers,
        "sentence": sentence,
        "next": [shlex.join(command) for command in commands],
        "provenance": run.provenance("evaluate"),
        "timing": {"seconds": time.perf_counter() - started},
    }


def _next(run: Run, found: Fitted) -> list[list[str]]:
    """Return the commands that make use of what was found."""
    folder = str(run.folder)
    if not found.outcome.is_shown:
        plain = ["skiploop", "serve", "--model", run.config.model]
        return [plain, ["skiploop", "fit", "--data", "MORE.jsonl", "--out", f"{folder}-more"]]
    policy = f"{folder}-policy"
    export = ["skiploop", "export", "--run", folder, "--out", policy]
    if found.layers:
        export += ["--layers", f"{found.layers:g}"]
    questions = [example.question for example in run.task.examples("test") if not example.choices]
    ask = ["skiploop", "generate", "--policy", policy, "--ask"]
    return [
        export,
        *([*ask, question] for question in questions[:1]),
        ["skiploop", "serve", "--policy", policy],
    ]
