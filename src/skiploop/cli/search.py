"""`skiploop search`: find programs for the questions of a task."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from skiploop.backends.base import MAX_RETRIES
from skiploop.cli.options import (
    ConfigFile,
    Device,
    Dtype,
    Exact,
    Folder,
    Json,
    Level,
    Memory,
    Model,
    Overrides,
    Seed,
    TaskName,
    TaskOptions,
    Threads,
    read_settings,
    run_flags,
)
from skiploop.cli.workers import BackendName, MaxRetries, RayAddress, Workers, working

OLD_NAMES = {"token_normalize_func": lambda name: {"rules": "method"}.get(name, name)}
"""Options as they were called in the last version: still read, in no help text."""


def search(
    out: Folder,
    task: TaskName = None,
    level: Level = None,
    option: TaskOptions = None,
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
            help="bayesian; tree, as published; or polar-released, PoLar's as released. [bayesian]"
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Part of the task. [train]")] = None,
    model: Model = None,
    dtype: Dtype = None,
    exact: Exact = None,
    device: Device = "cpu",
    memory: Memory = None,
    threads: Threads = 1,
    backend: BackendName = None,
    workers: Workers = None,
    ray_address: RayAddress = None,
    max_retries: MaxRetries = MAX_RETRIES,
    seed: Seed = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Search, for each question, the programs under which the model answers it right.

    Ends with what was found, next to as many random programs. Started again on the same folder,
    it goes on where it stopped.

    Example: skiploop search --task arithmetic --level 2 --limit 100 --budget 100 --out RUN
    """
    flags: dict[str, dict[str, object]] = {
        "run": run_flags(
            model=model,
            dtype=dtype,
            exact=exact,
            task=task,
            level=level,
            option=option,
            seed=seed,
        ),
        "search": {"limit": limit, "budget": budget, "method": method, "split": split},
    }
    sections = read_settings(("run", "search"), config, overrides, flags)

    from skiploop.cli import console
    from skiploop.config import from_dict
    from skiploop.report.tables.search import search_words
    from skiploop.runs import pipeline
    from skiploop.runs.folder import RunConfig
    from skiploop.runs.session import Run
    from skiploop.search.campaign import SearchConfig
    from skiploop.search.methods import POLAR_RELEASED
    from skiploop.search.released import SIMULATIONS

    if sections["search"].get("method") == POLAR_RELEASED:
        sections["search"].setdefault("budget", SIMULATIONS)

    console.prepare(threads)
    search_config = from_dict(SearchConfig, sections["search"], "search")
    run = Run.create(
        out,
        from_dict(RunConfig, sections["run"], "run"),
        device=device,
        memory=memory,
    )
    started = time.perf_counter()
    with (
        working(run, backend, workers, ray_address, max_retries, threads=threads),
        console.progress_bar() as bar,
    ):
        progress = console.TrialProgress(bar, "search", stored=lambda: run.n_trials)
        with console.resumable([progress], out):
            table = pipeline.search(run, search_config, progress, progress.expect)
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
