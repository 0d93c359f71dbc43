"""One protocol for all methods: learn on a task, choose on it, read each test part once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from skiploop.config import to_dict
from skiploop.engine.batching.encoding import encode
from skiploop.errors import ConfigError
from skiploop.evaluation.comparison import FOLDER, FORMAT, Comparison, Cost, row_of
from skiploop.evaluation.policy_table import REFERENCE
from skiploop.evaluation.records import RECORDS, Record, read_records
from skiploop.models.size import size_of
from skiploop.policies.base import Method
from skiploop.report.report import Report
from skiploop.runs import pipeline
from skiploop.runs.budgets import refuse_budgets
from skiploop.runs.judging import (
    EvaluateConfig,
    held_out,
    judge,
    refuse_chosen_here,
    refuse_samples_of_choices,
    refuse_unknown_categories,
    samples_of_choices,
)
from skiploop.runs.methods.make import each_method, make_methods
from skiploop.runs.policies import checked_name, entry_of, within_budgets
from skiploop.runs.session import Run
from skiploop.runs.stages import (
    Settings,
    Watcher,
    run_stage,
    seconds_before,
    settings_of,
    stages_of,
)
from skiploop.runs.stopwatch import Stopwatch
from skiploop.tasks.base import Example, questions_id

SECONDS = "seconds.json"
"""Times of the stages, in the folder of the comparisons' files but none of them."""

_log = logging.getLogger("skiploop")


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """What is compared.

    Attributes:
        methods: Names; those that take layer passes after a colon may come without.
        budgets: Layer passes, as shares of those of the plain model; each such name comes once for
            each of them.
        limit: Questions of each task at most; None for the whole part.
        split: Held-out part of every task.

    Raises:
        ConfigError: There is no method, or a budget is not above 0.
    """

    methods: tuple[str, ...]
    budgets: tuple[float, ...] = ()
    limit: int | None = None
    split: str = "test"

    def __post_init__(self) -> None:
        if not self.methods:
            raise ConfigError("there is nothing to compare: name methods, as in --methods selector")
        if self.budgets and min(self.budgets) <= 0:
            raise ConfigError(
                f"budgets are {list(self.budgets)}: give shares of the model's layer passes above "
                "0, such as 0.85,1.0"
            )

    def names(self, n_layers: int) -> list[str]:
        """Return the names of all methods for a model, the plain model first.

        Raises:
            UnknownNameError: One is not known.
            ConfigError: One lacks a budget.
        """
        expanded = within_budgets(self.methods, self.budgets, n_layers)
        return list(dict.fromkeys([REFERENCE, *map(checked_name, expanded)]))


def compare(
    run: Run, others: Sequence[Run], config: CompareConfig, settings: Settings, watch: Watcher
) -> list[Comparison]:
    """Compare methods on the task of a run, and on others.

    Stages that they need run if they are not finished; each method is made once. What is compared
    already, asked for in the same way, is read from its file, and its questions are not read again.
    Methods that draw answers sit out other tasks whose questions have choices.

    Args:
        run: Where they learn.
        others: From `Run.beside`.
        config: What is compared.
        settings: Of the stages, by name.
        watch: Told what begins.

    Returns:
        One comparison a task, that of the run first; each is in `compare/` of the run, too.

    Raises:
        ConfigError: A budget is below what a method can take, questions make no sense for one, or
            there are too few, or a task is named twice.
        DataError: A method chooses by categories, and questions are of an unknown one.
    """
    names = config.names(run.stack.n_layers)
    refuse_chosen_here(names, config.split)
    places = [run, *others]
    clock = Stopwatch(run.folder / SECONDS)
    refuse_budgets(names, run, settings)
    make_methods([name for name in names if entry_of(name).learns_nothing], run)  # or be refused
    _refuse_questions(names, places, config, settings)
    asked = {place.folder: _asked(place, names, config) for place in places}
    for stage in stages_of(names, run):
        run_stage(run, stage, settings.get(stage, {}), clock, watch)
        if stage == "menu":
            refuse_budgets(names, run, settings)  # before anything learns from it
    known = [_known(place, run, asked[place.folder]) for place in places]
    open_ = [place for place, found in zip(places, known, strict=True) if found is None]
    questions = {place.folder: held_out(place, asked[place.folder], run) for place in open_}
    for place in open_:
        refuse_unknown_categories(names, questions[place.folder], place, run)
    methods = _made(names, run, open_, clock, watch) if open_ else []
    training = {name: seconds_before(name, run, clock) for name in names}
    return [
        found
        or _judged(
            place, run, methods, questions[place.folder], asked[place.folder], training, watch
        )
        for place, found in zip(places, known, strict=True)
    ]


def _refuse_questions(
    names: Sequence[str], places: Sequence[Run], config: CompareConfig, settings: Settings
) -> None:
    """Refuse questions that cannot be asked, before anything learns for hours."""
    run, *_ = places
    for stage in stages_of(names, run):
        told = settings_of(run, stage, settings.get(stage, {}))
        if stage in ("search", "menu") and told.split == config.split:
            raise ConfigError(
                f"the {stage} learns from the {config.split!r} questions: judge methods on others, "
                "such as --split test"
            )
    identities = [questions_id(place.task) for place in places]
    for place, identity in zip(places, identities, strict=True):
        if identities.count(identity) > 1:
            raise ConfigError(
                f"{place.task.name} is named twice: give each task once with --on, and leave out "
                "that of the run"
            )
    refuse_samples_of_choices(names, run.task.examples(config.split, config.limit))


def _asked(place: Run, names: Sequence[str], config: CompareConfig) -> EvaluateConfig:
    """Return what is asked of one task: all methods that make sense for its questions."""
    left_out = samples_of_choices(names, place.task.examples(config.split, config.limit))
    if left_out:
        _log.info(
            "%s: without %s, which draw answers at random; its questions have choices",
            place.task.name,
            ", ".join(left_out),
        )
    return EvaluateConfig(
        policies=tuple(name for name in names if name not in left_out),
        limit=config.limit,
        split=config.split,
        k=1,
        controls=False,
    )


def _made(
    names: Sequence[str], run: Run, places: Sequence[Run], clock: Stopwatch, watch: Watcher
) -> list[Method]:
    """Return the methods; how long each takes to make is in the clock."""
    progress = watch.trials("methods")
    making = each_method(names, run, progress, 1, [place.task for place in places])
    methods = []
    for name in names:
        watch.begins(f"making {name}")
        with clock.running(name):
            methods.append(next(making))
    return methods


def _judged(
    place: Run,
    run: Run,
    methods: Sequence[Method],
    examples: Sequence[Example],
    asked: EvaluateConfig,
    training: Mapping[str, float | None],
    watch: Watcher,
) -> Comparison:
    """Let the methods answer the questions of one task, and write what came out."""
    able = [method for method in methods if method.name in (asked.policies or ())]
    judge(place, able, examples, asked, run, watch.trials(place.task.name))
    report = pipeline.report(place)
    costs = _costs(place, examples, training)
    found = _comparison(place, run, asked, report, costs)
    found.save(_path(place, run))
    return found


def _comparison(
    place: Run, run: Run, asked: EvaluateConfig, report: Report, costs: Mapping[str, Cost]
) -> Comparison:
    return Comparison(
        format=FORMAT,
        model=run.config.model,
        model_id=run.stack.model_id,
        n_layers=run.stack.n_layers,
        dtype=run.config.dtype,
        task=place.task.name,
        questions=questions_id(place.task),
        trained_on=questions_id(run.task),
        split=asked.split,
        n_questions=report.policies[0].n_examples,
        n_read_before=report.read_before.n_read if report.read_before else 0,
        asked=to_dict(asked),
        settings=run.settings,
        provenance=place.facts("evaluate"),
        rows=tuple(
            row_of(row, report.shuffled_answers, report.timing, costs[row.policy])
            for row in report.policies
        ),
    )


def _known(place: Run, run: Run, asked: EvaluateConfig) -> Comparison | None:
    """Return the comparison that is there, if it was asked for in the same way."""
    path = _path(place, run)
    if not path.exists():
        return None
    found = Comparison.load(path)
    now = (questions_id(place.task), run.stack.model_id, to_dict(asked), run.settings)
    before = (found.questions, found.model_id, found.asked, found.settings)
    if now == before:
        return found
    methods = ", ".join(row.method for row in found.rows)
    _log.info("%s will be replaced, copy it to keep what it says of %s", path, methods)
    return None


def _path(place: Run, run: Run) -> Path:
    return run.folder / FOLDER / f"{place.config.asked}.json"


def _costs(
    place: Run, examples: Sequence[Example], training: Mapping[str, float | None]
) -> dict[str, Cost]:
    """Return, by method, what the report does not know of its answers."""
    size = size_of(place.stack.model)
    prompts = encode(place.stack, [place.task.prompt(example) for example in examples])
    n_tokens = {example.id: len(ids) for example, ids in zip(examples, prompts, strict=True)}

    answers: dict[str, dict[str, list[Record]]] = {}
    for record in read_records(place.folder / RECORDS):
        answers.setdefault(record.policy, {}).setdefault(record.example_id, []).append(record)

    def flops(first: Record, *others: Record) -> float:
        n_read = (first.n_slots + first.extra_passes) * n_tokens[first.example_id]
        n_written = sum(map(_passes_after_prompt, (first, *others)))
        return size.flops(n_read + n_written, sum(max(r.n_tokens, 1) for r in (first, *others)))

    return {
        name: Cost(
            kv_bytes=_mean([first.kv_bytes for first, *_ in by_question.values()]),
            flops=fmean(flops(*records) for records in by_question.values()),
            training_s=training[name],
        )
        for name, by_question in answers.items()
    }


def _passes_after_prompt(record: Record) -> float:
    """Return the layer passes of the tokens of an answer that are read again.

    What a vote runs beyond the program of its winner stands in the other records.
    """
    n_passes = min(record.n_slots, record.n_slots + record.extra_passes)
    return n_passes * max(record.n_tokens - 1, 0)


def _mean(numbers: Sequence[int | None]) -> float | None:
    """Return the mean, None if one of the numbers is not known."""
    known = [number for number in numbers if number is not None]
    return fmean(known) if known and len(known) == len(numbers) else None
