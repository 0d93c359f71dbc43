"""`skiploop demo --full`: the whole way once, on the packaged model."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from skiploop.cli import console
from skiploop.cli.options import SettingOptions
from skiploop.config import from_dict

FULL = {"search": {"limit": 36, "budget": 18}, "evaluate": {"limit": 200, "k": 2}}
QUICK = {"search": {"limit": 12, "budget": 6}, "evaluate": {"limit": 32, "k": 2}}


def full(quick: bool, folder: Path, threads: int, settings: SettingOptions, as_json: bool) -> None:
    """Search, learn, choose and report on two levels of arithmetic."""
    defaults: Mapping[str, Mapping[str, object]] = {
        "run": {"options": ("level=2,3",)},
        # A small run needs more and smaller steps than the published recipe has.
        "train": {"batch_size": 32, "epochs": 20},
        **(QUICK if quick else FULL),
    }
    flags = {"run": {"seed": settings.seed}, "train": {"seed": settings.seed}}
    given = settings.merged(tuple(defaults), flags)
    sections = {name: {**defaults[name], **given[name]} for name in defaults}

    from skiploop.policies.polar.training import TrainConfig
    from skiploop.report.tables.search import search_words
    from skiploop.runs import pipeline
    from skiploop.runs.folder import RunConfig
    from skiploop.runs.judging import EvaluateConfig
    from skiploop.runs.session import Run
    from skiploop.search.campaign import SearchConfig

    console.prepare(threads)
    started = time.perf_counter()
    search_config = from_dict(SearchConfig, sections["search"], "search")
    train_config = from_dict(TrainConfig, sections["train"], "train")
    evaluate_config = from_dict(EvaluateConfig, sections["evaluate"], "evaluate")
    run = Run.create(folder, from_dict(RunConfig, sections["run"], "run"))
    with console.progress_bar() as bar:
        search_progress = console.TrialProgress(bar, "search", stored=lambda: run.n_trials)
        train_progress = console.EpochProgress(bar, train_config.epochs)
        evaluate_progress = console.TrialProgress(bar, "evaluate")
        with console.resumable((search_progress, train_progress, evaluate_progress), run.folder):
            console.say(f"1/3 searching programs for {search_config.limit} questions")
            table = pipeline.search(run, search_config, search_progress)
            console.say("2/3 training the predictor on the programs found")
            pipeline.train(run, train_config, train_progress)
            console.say(f"3/3 judging policies on {evaluate_config.limit} held-out questions")
            report = pipeline.evaluate(run, evaluate_config, evaluate_progress)
    console.print_table(search_words(table))
    console.print_report(report, run.folder)
    if as_json:
        figures = report.figures()
        timing = {
            "seconds": time.perf_counter() - started,
            "peak_memory_bytes": console.peak_memory_bytes(),
            "report": figures["timing"],
        }
        console.print_json({"run": str(run.folder), **figures, "timing": timing})
