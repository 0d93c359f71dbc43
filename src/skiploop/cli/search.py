"""`skiploop search`: find programs for the questions of a task."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from skiploop.cli import console
from skiploop.cli.groups import with_groups
from skiploop.cli.machine import Machine
from skiploop.cli.options import (
    Folder,
    Json,
    ModelOptions,
    SettingOptions,
    TaskName,
    TaskOptions,
    run_flags,
)
from skiploop.cli.workers import WorkerOptions
from skiploop.config import from_dict

OLD_NAMES = {"token_normalize_func": lambda name: {"rules": "method"}.get(name, name)}
"""Options as they were called in the last version: still read, in no help text."""


@with_groups
def search(
    *,
    out: Folder,
    task: TaskName = None,
    options: TaskOptions,
    limit: Annotated[
        int | None, typer.Option(help="Questions to search. [100, or all]", min=1)
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(help="Programs a question. [200, under polar-released 100]", min=1),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="bayesian; gradient, which scales layers; tree, as published; or polar-released, "
            "PoLar's as released. [bayesian]"
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Part of the task. [train]")] = None,
    model: ModelOptions,
    machine: Machine,
    workers: WorkerOptions,
    settings: SettingOptions,
    as_json: Json = False,
) -> None:
    """Search, for each question, the programs under which the model answers it right.

    Ends with what was found, next to as many random programs. Started again on the same folder,
    it goes on where it stopped.

    Example: skiploop search --task arithmetic --level 2 --limit 100 --budget 100 --out RUN
    """
    flags: dict[str, dict[str, object]] = {
        "run": run_flags(model, task, options, settings.seed),
        "search": {"limit": limit, "budget": budget, "method": method, "split": split},
    }
    sections = settings.merged(("run", "search"), flags)

    from skiploop.report.tables.search import search_words
    from skiploop.runs import pipeline
    from skiploop.search.campaign import SearchConfig, with_usual_budget

    config = from_dict(SearchConfig, with_usual_budget(sections["search"]), "search")
    run = machine.new_run(out, sections["run"])
    started = time.perf_counter()
    with (
        workers.working(run, machine.threads),
        console.counted(out, "search", stored=lambda: run.n_trials) as progress,
    ):
        table = pipeline.search(run, config, progress)
    console.print_table(search_words(table))
    if as_json:
        seconds = time.perf_counter() - started
        console.print_json(
            {
                "run": str(out),
                "search_table": table,
                "provenance": run.provenance("search"),
                "timing": {
                    "seconds": seconds,
                    "work": run.stack.work.to_json(),
                    "peak_memory_bytes": console.peak_memory_bytes(),
                },
            }
        )
