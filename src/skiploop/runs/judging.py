"""Methods on held-out questions: what they answer, what that took, and what was read for it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from skiploop.config import AtMost
from skiploop.errors import ConfigError
from skiploop.evaluation.answering import answer_all
from skiploop.evaluation.kept_answers import ANSWERS, KeptAnswers
from skiploop.evaluation.measured import Measured
from skiploop.evaluation.readings import Reading, read_readings, unread, write_readings
from skiploop.evaluation.records import RECORDS, write_records
from skiploop.evaluation.timing import time_answers
from skiploop.menus.menu import MenuConfig
from skiploop.policies.base import Method
from skiploop.policies.by_category import CategoryPolicy, check_categories
from skiploop.policies.selector.calibration import CalibrationBin, calibration
from skiploop.policies.selector.policy import SelectorPolicy
from skiploop.runs.policies import entry_of
from skiploop.runs.questions import learned_from, menu_examples
from skiploop.runs.session import Run
from skiploop.search.campaign import SearchConfig
from skiploop.tasks.base import Example, take
from skiploop.trials.progress import UNWATCHED, Tally

_log = logging.getLogger("skiploop")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """What one evaluation asks.

    Attributes:
        policies: Names that `policies.checked_name` takes; the identity is always among them. None
            for all that the run has something for.
        limit: Questions, the first ones of the split; None for all. By default all where there
            are fewer.
        fresh: As many questions that this run has not read before, in place of the first ones.
        split: Held-out part of the task.
        k: Programs a policy may rank for the oracle.
        controls: Whether those of a selector are judged beside it.

    Raises:
        ConfigError: A number is less than 1.
    """

    policies: tuple[str, ...] | None = None
    limit: int | None = AtMost(200)
    fresh: int | None = None
    split: str = "test"
    k: int = 5
    controls: bool = True

    def __post_init__(self) -> None:
        if self.k < 1 or (self.limit is not None and self.limit < 1):
            raise ConfigError(f"limit is {self.limit} and k is {self.k}: give at least 1 each")
        if self.fresh is not None and self.fresh < 1:
            raise ConfigError(f"fresh is {self.fresh}: ask for at least 1 question")


def held_out(run: Run, config: EvaluateConfig, learned: Run) -> list[Example]:
    """Return the questions of an evaluation, none of which anything was learned from.

    Args:
        run: Whose questions are asked.
        config: How many, and of which part.
        learned: What the methods are made from; the same run, or that beside which the other lies.

    Raises:
        ConfigError: The part was learned from, or holds too few questions.
    """
    everything = run.task.examples(config.split)
    if run is learned:
        _refuse_learned_split(run, config.split)
    else:
        everything = _without(everything, learned_from(learned), run.task.name)
    if config.fresh is None:
        examples = take(everything, config.split, config.limit, run.task.name)
    else:
        examples = unread(read_readings(run.folder), everything)[: config.fresh]
        if len(examples) < config.fresh:
            raise ConfigError(
                f"{run.folder} has not read {len(examples)} of the {len(everything)} questions in "
                f"{config.split!r}, asked for {config.fresh}: lower fresh, or use another split"
            )
    if not examples:
        raise ConfigError(
            f"{run.task.name} has no questions in {config.split!r}: use another split"
        )
    return examples


def samples_of_choices(names: Sequence[str], examples: Sequence[Example]) -> list[str]:
    """Return the policies that draw answers where one of several choices is picked."""
    have_choices = any(example.choices for example in examples)
    return [name for name in names if have_choices and entry_of(name).role == "sample"]


def refuse_samples_of_choices(names: Sequence[str], examples: Sequence[Example]) -> None:
    """Refuse policies that draw answers where one of several choices is picked.

    Raises:
        ConfigError: There is one.
    """
    if samples := samples_of_choices(names, examples):
        raise ConfigError(
            f"{', '.join(samples)}: answers are drawn at random, but these questions have choices, "
            "of which the likeliest is picked; leave it out"
        )


def refuse_chosen_here(names: Sequence[str], split: str) -> None:
    """Refuse policies that were chosen on the questions on which they are to be judged.

    Raises:
        ConfigError: There is one.
    """
    chosen = [name for name in names if split in entry_of(name).chosen_on]
    if chosen:
        raise ConfigError(
            f"{', '.join(chosen)} would be judged on the {split!r} questions that it is chosen by: "
            "use --split test"
        )


def refuse_unknown_categories(
    names: Sequence[str], examples: Sequence[Example], run: Run, learned: Run
) -> None:
    """Refuse to choose by categories where questions are of one that nothing was learned about.

    Where a run asks its own questions, it is said of other methods that learned from its menu.

    Raises:
        DataError: There is such a question, and a method chooses by categories.
    """
    learns = run is learned and any(entry_of(name).learns_from_menu for name in names)
    if learns or CategoryPolicy.name in names:
        check_categories(menu_examples(learned), examples, names)


def judge(
    run: Run,
    methods: Sequence[Method],
    examples: Sequence[Example],
    config: EvaluateConfig,
    learned: Run,
    progress: Tally = UNWATCHED,
) -> None:
    """Let methods answer questions, and leave in the run folder all that a report is made from.

    Args:
        run: Whose questions are asked.
        methods: The plain model is among them.
        examples: From `held_out`.
        config: What was asked.
        learned: What the methods were made from.
        progress: Told about finished answers, and how many will come.
    """
    names = [method.name for method in methods]
    selector = _selector(learned, names)
    if selector:
        selector.features.remember([run.task.prompt(example) for example in examples])
    kept = KeptAnswers(run.folder / ANSWERS, run.stack.model_id)
    records = answer_all(methods, examples, run.runner(progress), progress, kept)
    if selector:
        selector.features.forget()  # choosing is timed with all that it takes
    readings = read_readings(run.folder)  # before the records, which may tell of the first one
    now = Reading(tuple(example.id for example in examples), tuple(names))
    was_interrupted = run.has("evaluate") and not run.facts("evaluate")
    if not (was_interrupted and readings[-1:] == [now]):
        write_readings(run.folder, [*readings, now])
    run.forget("evaluate")  # not before, and finished again at the end
    run.record("evaluate", config)
    write_records(run.folder / RECORDS, records)
    _log.info("measuring wall times")
    timing = time_answers(run.stack, run.task, examples, methods)
    Measured(timing=timing, calibration=_calibration(selector)).save(run.folder)
    run.note_provenance("evaluate")


def _refuse_learned_split(run: Run, split: str) -> None:
    learned = [run.finished("menu", MenuConfig).split] if run.has("menu") else []
    if run.has("search"):
        learned.append(run.finished("search", SearchConfig).split)
    if split in learned:
        raise ConfigError(
            f"{run.folder} learned from the {split!r} questions: judge policies on "
            "questions that nothing was learned from, such as --split test"
        )


def _without(examples: Sequence[Example], known: Sequence[Example], task: str) -> list[Example]:
    """Return the questions that are none of those that something was learned from."""
    groups = {example.group for example in known}
    left = [example for example in examples if example.group not in groups]
    if len(left) < len(examples):
        _log.info(
            "%d of %d questions of %s are left out: something was learned from them",
            len(examples) - len(left),
            len(examples),
            task,
        )
    return left


def _selector(run: Run, names: Sequence[str]) -> SelectorPolicy | None:
    """Return the selector of a run, whatever its limits, if policies make use of it."""
    is_asked = any("selector" in entry_of(name).needs for name in names)
    return run.selector if is_asked else None


def _calibration(selector: SelectorPolicy | None) -> tuple[CalibrationBin, ...]:
    if selector is None:
        return ()
    data = selector.data
    return tuple(calibration(data.predicted_QP, data.score_QP, data.right_QP))
