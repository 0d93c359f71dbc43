"""`skiploop compare`: methods under one protocol, in and out of distribution."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skiploop.cli import console
from skiploop.cli.groups import with_groups
from skiploop.cli.machine import Machine
from skiploop.cli.options import (
    PATH,
    Json,
    ModelOptions,
    Prompt,
    PromptOf,
    Sections,
    SettingOptions,
    TaskName,
    TaskOptions,
    listed,
    run_flags,
)
from skiploop.cli.watch import Watch
from skiploop.cli.workers import WorkerOptions
from skiploop.errors import ConfigError
from skiploop.runs.folder import RunFolder
from skiploop.runs.policies import patterns

if TYPE_CHECKING:
    from skiploop.runs.compare import CompareConfig
    from skiploop.runs.session import Run


@with_groups
def compare(
    *,
    places: Annotated[
        list[Path] | None,
        typer.Argument(help="With --page: run folders, or files of their compare/.", **PATH),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "--run", help="Run folder; with --page the folder of the page.", **PATH
        ),
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option(help=f"{', '.join(patterns())}; several with commas."),
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option(
            help="Other tasks to judge on: T2,T3, or one with options: --on 'arithmetic level=4'."
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="Layer passes as shares of the model's, for name:LAYERS: 0.85,1.0,1.15."),
    ] = None,
    prompt: PromptOf = Prompt.task,
    limit: Annotated[
        int | None, typer.Option(help="Held-out questions of each task. [all]", min=1)
    ] = None,
    split: Annotated[str, typer.Option(help="Part of every task to judge on.")] = "test",
    page: Annotated[
        bool, typer.Option("--page", help="Make one page of comparisons that are there.")
    ] = False,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Say what it would take; nothing starts.")
    ] = False,
    rate: Annotated[
        float | None,
        typer.Option(help="For --estimate: TFLOP a second. [GPU 160, CPU 0.1 a thread]"),
    ] = None,
    task: TaskName = None,
    options: TaskOptions,
    model: ModelOptions,
    machine: Machine,
    workers: WorkerOptions,
    settings: SettingOptions,
    as_json: Json = False,
) -> None:
    """Compare methods on a task and on others, by one protocol.

    Each method learns on the training part, chooses on the validation part and answers the test
    part once. What it needs, such as a search, runs if it is not finished; --config and --set say
    how. Started again, it goes on where it stopped.

    Example: skiploop compare --methods selector,static --task arithmetic --on words --out RUN

    Example: skiploop compare --page RUN RUN2 --out FOLDER
    """
    if out is None:
        raise ConfigError("there is no folder to write to: give --out")
    if page:
        _write_page(places or [], out, as_json=as_json)
        return
    if places:
        raise ConfigError(f"{places[0]}: folders are given with --page, the run folder with --out")
    flags: dict[str, dict[str, object]] = {
        "run": run_flags(model, task, options, settings.seed),
        "train": {"seed": settings.seed},
        "selector": {"seed": settings.seed},
    }
    sections = settings.merged(("run", "search", "menu", "train", "selector"), flags)

    from skiploop.runs.compare import CompareConfig

    asked = CompareConfig(
        methods=tuple(listed(methods)), budgets=_shares(budget), limit=limit, split=split
    )
    run = machine.new_run(out, sections["run"])
    others = [(name, options, prompt is Prompt.run) for name, options in _tasks(on)]
    if estimate:
        _print_estimate(run, others, asked, sections, rate, machine.threads, as_json=as_json)
        return
    with workers.working(run, machine.threads):
        _compare(run, others, asked, sections, as_json=as_json)


def _compare(
    run: Run,
    others: Sequence[tuple[str, tuple[str, ...], bool]],
    asked: CompareConfig,
    sections: Sections,
    *,
    as_json: bool,
) -> None:
    """Run what is not there, and print one table a task."""
    from skiploop.report.comparison import comparison_tables
    from skiploop.runs.compare import compare

    started = time.perf_counter()
    beside = [run.beside(name, options, as_trained=as_run) for name, options, as_run in others]
    with console.progress_bar() as bar:
        watch = Watch(bar)
        with console.resumable(watch.stages, run.folder):
            found = compare(run, beside, asked, sections, watch)
    for one in found:
        for table in comparison_tables(one):
            console.print_table(table)
    print(f"files: {run.folder / 'compare'}")
    if as_json:
        console.print_json(
            {
                "run": str(run.folder),
                "comparisons": found,
                "timing": {"seconds": time.perf_counter() - started},
            }
        )


def _shares(text: str | None) -> tuple[float, ...]:
    """Return the budgets of `--budget`."""
    try:
        return tuple(float(part) for part in (text or "").split(",") if part.strip())
    except ValueError:
        raise ConfigError(
            f"--budget {text} is no list of numbers: write shares such as 0.85,1.0"
        ) from None


def _tasks(given: Sequence[str] | None) -> list[tuple[str, tuple[str, ...]]]:
    """Return the tasks of `--on` with their options: several without, or one with options."""
    found = []
    for one in given or ():
        try:
            words = shlex.split(one)
        except ValueError:
            raise ConfigError(
                f"--on {one!r} has a quote that does not end: write a path with spaces as in "
                "--on \"'jsonl:my files/a.jsonl' shots=2\""
            ) from None
        if not words:
            raise ConfigError("--on names no task: write one, as in --on words, or leave it out")
        task, *options = words
        names = [task] if options else listed([task])
        for option in options:
            if "=" not in option:
                raise ConfigError(
                    f"--on {one!r}: {option!r} is not KEY=VALUE: write a task and its options, as "
                    "in --on 'arithmetic level=4'"
                )
        found += [(name, tuple(options)) for name in names]
    return found


def _write_page(places: Sequence[Path], folder: Path, *, as_json: bool) -> None:
    """Make the page of all comparisons in some places."""
    from skiploop.evaluation.comparison import Comparison, comparison_files
    from skiploop.report.leaderboard import write_leaderboard

    if not places:
        raise ConfigError("--page has nothing to show: name run folders or files of comparisons")
    found = [Comparison.load(path) for place in places for path in comparison_files(place)]
    page = write_leaderboard(folder, found)
    n_rows = sum(len(one.rows) for one in found)
    print(f"page: {page}, {len(found)} comparisons, {n_rows} rows")
    if as_json:
        console.print_json({"page": str(page), "n_comparisons": len(found), "n_rows": n_rows})


def _print_estimate(
    run: Run,
    others: Sequence[tuple[str, tuple[str, ...], bool]],
    asked: CompareConfig,
    sections: Sections,
    rate: float | None,
    threads: int,
    *,
    as_json: bool,
) -> None:
    """Say what the comparison would take."""
    from skiploop.models.outline import outline
    from skiploop.runs.estimate import estimate
    from skiploop.runs.work import stated_rate

    if rate is not None and not 0 < rate < math.inf:
        raise ConfigError(f"--rate {rate} is no rate: give TFLOP a second above 0")
    speed = stated_rate(run.device, threads) if rate is None else rate * 1e12
    tasks = [
        RunFolder(run.folder, run.elsewhere(name, options, as_trained=as_run)).task
        for name, options, as_run in others
    ]
    known = outline(run.config.model)  # of a model on the hub no weights are fetched
    found = estimate(run, tasks, asked, sections, known, speed)
    console.print_table(found.table())
    if as_json:
        console.print_json(found.figures())
