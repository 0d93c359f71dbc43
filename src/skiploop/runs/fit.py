"""From questions to a judged choice: a menu, a selector, and held-out questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from skiploop.config import from_dict
from skiploop.errors import DataError
from skiploop.evaluation.data_check import DataCheck, check_data
from skiploop.evaluation.outcome import Goal, Outcome, outcome
from skiploop.menus.menu import Menu
from skiploop.models.outline import Outline
from skiploop.policies.selector.policy import MIN_QUESTIONS
from skiploop.policies.selector.validation import N_PARTS
from skiploop.report.report import Report
from skiploop.runs import pipeline
from skiploop.runs.compare import SECONDS, CompareConfig
from skiploop.runs.entries import Stage
from skiploop.runs.estimate import Estimate, estimate
from skiploop.runs.folder import RunFolder
from skiploop.runs.judging import EvaluateConfig
from skiploop.runs.session import Run
from skiploop.runs.stages import Settings, Watcher, is_there, run_stage, settings_of
from skiploop.runs.stopwatch import Stopwatch

STAGES: tuple[Stage, ...] = ("menu", "selector")

MOST_TAUGHT, MOST_JUDGED = 5000, 1500
"""Questions that are taken at most where nobody says how many."""

BUDGET = 0.9
"""Share of the model's layer passes to which a choice keeps that is to run fewer layers."""


@dataclass(frozen=True, kw_only=True)
class FitPlan:
    """What a fit does.

    Attributes:
        goal: What is to be gained.
        settings: Of the stages.
        judging: How many held-out questions are asked.
    """

    goal: Goal
    settings: Settings
    judging: EvaluateConfig


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What a fit has found.

    Attributes:
        report: Of the held-out questions.
        outcome: What it comes to.
        layers: Layer passes that the policy of the outcome was told to keep to; None for none.
    """

    report: Report
    outcome: Outcome
    layers: float | None


def plan(
    run: RunFolder, goal: Goal, given: Mapping[str, Mapping[str, object]], known: Outline
) -> FitPlan:
    """Return what is done for a goal.

    Programs share the first third of the layers, by whose states the choice is made.

    Args:
        run: Where.
        goal: What is to be gained.
        given: Settings by section, `menu`, `selector` and `evaluate`, in place of those of here.
        known: The model.
    """
    n_train, n_test = (len(run.task.examples(split)) for split in ("train", "test"))
    menu = {"first_layer": known.size.n_layers // 3, "damping_anchors": (0.0,), "max_block": 2}
    if goal is not Goal.accuracy:
        menu |= {"layer_cost": 0.01, "max_block": 4}
    judging = {"limit": min(n_test, MOST_JUDGED), "k": 1, "controls": False, **given["evaluate"]}
    return FitPlan(
        goal=goal,
        settings={
            "menu": {**menu, "limit": min(n_train, MOST_TAUGHT), **given["menu"]},
            "selector": given["selector"],
        },
        judging=from_dict(EvaluateConfig, judging, "evaluate"),
    )


def check(run: RunFolder, plan: FitPlan) -> DataCheck:
    """Look at the questions, before a model is loaded.

    Raises:
        DataError: There are too few to learn from or to judge on.
    """
    task, menu = run.task, settings_of(run, "menu", plan.settings["menu"])
    taught = task.examples(menu.split, menu.limit)
    judged = task.examples(plan.judging.split, plan.judging.limit)
    n_groups = len({example.group for example in taught})
    if n_groups < MIN_QUESTIONS or not judged:
        raise DataError(
            f"{task.name} has {n_groups} different questions to learn from and {len(judged)} to "
            f"judge on: give a few hundred lines, of which {MIN_QUESTIONS} or more are to learn "
            "from"
        )
    return check_data(
        task,
        taught,
        judged,
        n_raced=menu.race_questions,
        n_parts=N_PARTS,
        n_tests=2 if plan.goal is Goal.both else 1,
    )


def estimate_fit(run: RunFolder, plan: FitPlan, known: Outline, rate: float) -> Estimate:
    """Count what is left to run; arguments as for `estimate.estimate`."""
    judged = ("selector", "static") if plan.goal is Goal.both else ("selector",)
    asked = CompareConfig(methods=judged, limit=plan.judging.limit, split=plan.judging.split)
    return estimate(run, (), asked, plan.settings, known, rate)


def fit(run: Run, plan: FitPlan, watch: Watcher) -> Fitted:
    """Run what is not there yet, and say what it comes to.

    Raises:
        RunError: The folder holds a stage with other settings.
        DataError: There is too little to learn from.
    """
    clock = Stopwatch(run.folder / SECONDS)
    were_there = all(is_there(run, stage, plan.settings[stage]) for stage in STAGES)
    for stage in STAGES:
        run_stage(run, stage, plan.settings[stage], clock, watch)
    layers = None if plan.goal is Goal.accuracy else _fewer_layers(run)
    limited = [f"selector:{layers:g}"] if layers else []
    unlimited = [] if plan.goal is Goal.layers else ["selector"]
    judging = replace(plan.judging, policies=(*limited, *unlimited))
    if were_there and run.facts("evaluate") and run.section("evaluate", EvaluateConfig) == judging:
        report = pipeline.report(run)
    else:
        report = pipeline.evaluate(run, judging, watch.trials("held-out questions"))
    found = outcome(report.policies, plan.goal)
    is_limited = found.best is not None and found.best.policy in limited
    return Fitted(report=report, outcome=found, layers=layers if is_limited else None)


def _fewer_layers(run: Run) -> float | None:
    """Return how many layer passes are fewer for the menu of a run; None if it has no shorter one.

    It is `BUDGET`, or half of what the shortest program saves, where that is not enough for it.
    """
    programs = Menu.load(run.folder).programs
    n_layers = run.stack.n_layers
    shortest = min(program.n_slots for program in programs)
    if shortest >= n_layers:
        return None
    return round(max(BUDGET * n_layers, (shortest + n_layers) / 2), 2)
