"""Which stages of a run some methods need, and running those that are not finished."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from skiploop.config import from_dict, to_dict, under_new_names
from skiploop.menus.menu import MenuConfig
from skiploop.policies.polar.checkpoint import Metrics
from skiploop.policies.polar.training import TrainConfig
from skiploop.policies.selector.learning import SelectorConfig
from skiploop.runs import pipeline
from skiploop.runs.entries import Stage
from skiploop.runs.folder import RunFolder
from skiploop.runs.policies import entry_of
from skiploop.runs.session import Run
from skiploop.runs.stopwatch import Stopwatch
from skiploop.search.campaign import SearchConfig, with_usual_budget
from skiploop.trials.progress import Tally

CONFIGS: dict[Stage, type] = {
    "search": SearchConfig,
    "menu": MenuConfig,
    "train": TrainConfig,
    "selector": SelectorConfig,
}
"""The stages in the order in which they run, and what each is told."""

Settings = Mapping[str, Mapping[str, object]]


class Watcher(Protocol):
    """Is told what begins, and given what counts it."""

    def trials(self, what: str) -> Tally:
        """Return what is told about finished answers, and about how many will come."""

    def epochs(self, n_epochs: int) -> Callable[[Metrics], None]:
        """Return what is told about finished epochs of a training."""

    def begins(self, what: str) -> None:
        """Be told of something that is not counted."""


def stages_of(names: Sequence[str], run: RunFolder) -> list[Stage]:
    """Return the stages that some methods need, in the order in which they run.

    Where one of several will do, it is one that is needed anyway or there, or else the last.
    """
    needs = {entry_of(name).needs for name in names} - {()}
    needed = {stage for stages in needs if len(stages) == 1 for stage in stages}
    needed |= {_before(stage, run) for stage in needed if stage in ("train", "selector")}
    for stages in needs:
        if needed.isdisjoint(stages):
            there = [stage for stage in stages if run.has(stage)]
            needed.add((there or stages)[-1])
    return [stage for stage in CONFIGS if stage in needed]


def _before(stage: Stage, run: RunFolder) -> Stage:
    """Return the stage that gives another one what it learns from."""
    is_from_menu = bool(run.facts("train")) and not run.has("search")
    return "menu" if stage == "selector" or is_from_menu else "search"


def settings_of(run: RunFolder, stage: Stage, given: Mapping[str, object]) -> Any:  # noqa: ANN401 - one of CONFIGS
    """Return what a stage is told: what is given, or else what it was told before."""
    cls = CONFIGS[stage]
    known = to_dict(run.section(stage, cls)) if run.has(stage) else {}
    merged = {**known, **under_new_names(cls, given, stage)}
    config: Any = from_dict(cls, with_usual_budget(merged) if stage == "search" else merged, stage)
    if stage not in ("search", "menu"):
        return config
    n_questions = len(run.task.examples(config.split, config.limit))
    return config.fitted(n_questions)


def is_there(run: RunFolder, stage: Stage, given: Mapping[str, object]) -> bool:
    """Whether a stage ran to its end with these settings."""
    if not run.facts(stage):
        return False
    return bool(settings_of(run, stage, given) == run.finished(stage, CONFIGS[stage]))


def run_stage(
    run: Run, stage: Stage, given: Mapping[str, object], clock: Stopwatch, watch: Watcher
) -> None:
    """Run a stage to its end, unless it is there with the same settings.

    Raises:
        RunError: It is there with other settings.
    """
    if is_there(run, stage, given):
        return
    config = settings_of(run, stage, given)
    with clock.running(stage):
        if stage == "search":
            pipeline.search(run, config, watch.trials("search"))
        elif stage == "menu":
            pipeline.menu(run, config, watch.trials("menu"))
        elif stage == "train":
            pipeline.train(run, config, watch.epochs(config.epochs))
        else:
            watch.begins("selector")
            pipeline.train_on_menu(run, config)


def seconds_before(name: str, run: Run, clock: Stopwatch) -> float | None:
    """Return the seconds of all that a method needs, and of making it; None if one is not known."""
    needed = stages_of([name], run)
    spent = [clock.seconds(what) for what in (*needed, name)]
    return None if None in spent else sum(filter(None, spent))
