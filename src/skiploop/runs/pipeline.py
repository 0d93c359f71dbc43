"""The stages of a run: search programs, train a predictor, evaluate policies.

Each stage reads what the stage before it left in the run folder, and can be interrupted and
started again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from skiploop.config import AtMost
from skiploop.errors import ConfigError, RunError
from skiploop.evaluation.search_table import SearchTable
from skiploop.menus.menu import Menu, MenuConfig, build_menu, coverage, first_programs
from skiploop.menus.scales import learn_scales
from skiploop.models.identity import check_model
from skiploop.models.size import size_of
from skiploop.policies.polar.checkpoint import Metrics
from skiploop.policies.polar.policy import PREDICTOR_FOLDER, PredictorPolicy, has_predictor
from skiploop.policies.polar.recipe import train as train_predictor
from skiploop.policies.polar.targets import QuestionPrograms
from skiploop.policies.polar.training import TrainConfig
from skiploop.policies.selector.learning import SelectorConfig
from skiploop.policies.selector.policy import SelectorPolicy, train_selector
from skiploop.programs.program import Program
from skiploop.programs.space import ProgramSpace
from skiploop.report.details import Details
from skiploop.report.report import Report
from skiploop.runs import reporting
from skiploop.runs.folder import RunFolder
from skiploop.runs.judging import (
    EvaluateConfig,
    held_out,
    judge,
    refuse_chosen_here,
    refuse_samples_of_choices,
    refuse_unknown_categories,
)
from skiploop.runs.methods.make import make_methods
from skiploop.runs.policies import available, checked_name, controls_of
from skiploop.runs.questions import menu_examples, searched_examples, unseen_examples
from skiploop.runs.search_jobs import search_by_workers
from skiploop.runs.session import Run
from skiploop.runs.work import stated_rate, work
from skiploop.search.campaign import Campaign, SearchConfig
from skiploop.seeds import derive_seed
from skiploop.tasks.base import Example, Task
from skiploop.trials.progress import UNWATCHED, Tally
from skiploop.trials.score_table import collect

VALIDATION_SHARE = 0.2
"""Share of the searched questions by which the best epoch is chosen."""

_SHOWN: dict[str, type] = {"search": SearchConfig, "menu": MenuConfig}
"""Stages whose findings a report shows before anything is judged."""

_log = logging.getLogger("skiploop")


def search(
    run: Run,
    config: SearchConfig,
    progress: Tally = UNWATCHED,
) -> SearchTable:
    """Search programs for the first questions of a split, and run the chance control.

    Returns:
        What was found, in the form of Table 1 of arXiv 2606.06574.

    Raises:
        RunError: The folder holds a search with other settings.
    """
    examples = run.task.examples(config.split, config.limit)
    config = config.fitted(len(examples))
    runner = run.runner(progress)  # loads the model: a wrong name must not occupy the folder
    with run.lock_config("search", config):
        _announce(run, "search", config.n_trials, config.split)
        progress.expect(config.n_trials)
        if run.backend:
            search_by_workers(run, run.backend, examples, config, progress)
        else:
            campaign = Campaign(runner, examples, config, run.config.seed)
            campaign.search()
            campaign.control()
    run.note_provenance("search")
    return reporting.read_search_table(run, run.stack.n_layers)


def train(
    run: Run, config: TrainConfig, progress: Callable[[Metrics], None] | None = None
) -> PredictorPolicy:
    """Train the predictor on the programs that the search found, or without one those on the menu.

    Raises:
        RunError: There is neither, or a training with other settings, finished or not.
        DataError: No program was right.
    """
    graded, space = _graded_programs(run)
    if not has_predictor(run.folder):
        run.forget("train")  # of a predictor that was deleted
    folder = run.folder / PREDICTOR_FOLDER
    run.refuse_differences("train", config, remedy=f"delete {folder} to train anew")
    first_of = {question.group: question.example_id for question in reversed(graded)}
    is_held = {group: _is_validation(example_id) for group, example_id in first_of.items()}
    validation = [question for question in graded if is_held[question.group]]
    training = [question for question in graded if not is_held[question.group]]
    if not training:  # very few questions: learning comes before choosing the epoch
        training, validation = validation, []
    policy = train_predictor(run.stack, training, validation, space, config, run.folder, progress)
    run.record("train", config)  # not before: it is true of this predictor only
    run.note_provenance("train")
    run.predictor = policy
    return policy


def menu(run: Run, config: MenuConfig, progress: Tally = UNWATCHED) -> Menu:
    """Make a menu, and judge every question under every program on it.

    Raises:
        RunError: The folder holds a menu with other settings.
    """
    examples = run.task.examples(config.split, _menu_limit(run.task, config))
    asked, config = config, config.fitted(len(examples))
    runner = run.runner(progress)  # loads the model: a wrong name must not occupy the folder
    with run.lock_config("menu", config):
        if config != asked:
            _log.info(
                "menu: %d questions, %d of which choose at most %d programs",
                config.limit,
                config.race_questions,
                config.size,
            )
        n_trials = config.n_trials(run.stack.n_layers)
        _announce(run, "menu", n_trials, config.split)
        progress.expect(n_trials)
        learned = _learned_scales(run, config, examples) if config.scaled else []
        found = build_menu(runner, examples[: config.race_questions], config, learned)
        progress.expect((config.limit - config.race_questions) * len(found.programs))
        table = collect(runner, examples, found.programs)
    raced = {example.group for example in examples[: config.race_questions]}
    is_new_Q = [example.group not in raced for example in examples]
    found = replace(found, oracle_coverage=coverage(table.right_QP[is_new_Q]))
    found.save(run.folder)
    run.note_provenance("menu")
    return found


def _menu_limit(task: Task, config: MenuConfig) -> int:
    """Return how many questions the table of a menu gets: half if scales need the others."""
    if config.scaled and isinstance(config.limit, AtMost):
        return AtMost(min(config.limit, max(1, len(task.examples(config.split)) // 2)))
    return config.limit


def _learned_scales(run: Run, config: MenuConfig, examples: Sequence[Example]) -> list[Program]:
    """Return programs that scale layers, learned on questions that the table does not hold."""
    first_programs(config, run.stack.n_layers)  # refused before the long way
    groups = {example.group for example in examples}
    others = [e for e in run.task.examples(config.split) if e.group not in groups]
    if len(others) < config.scale_questions and not isinstance(config.scale_questions, AtMost):
        raise ConfigError(
            f"menu.scale_questions is {config.scale_questions}, but {len(others)} questions are "
            f"left beside the table of {len(examples)}: give fewer, or lower menu.limit"
        )
    return learn_scales(
        run.stack,
        run.task,
        others[: config.scale_questions],
        config.scaled,
        config.first_layer,
        run.folder,
    )


def train_on_menu(run: Run, config: SelectorConfig) -> SelectorPolicy:
    """Train the selector on the table of the run's menu.

    Raises:
        RunError: There is no finished menu, or it is of another model.
        DataError: The table holds too little to learn from.
    """
    examples = menu_examples(run)
    found = Menu.load(run.folder)
    remedy = f"load that one, or make a menu for {run.stack.name}"
    check_model(found.weights_id, run.stack, f"the menu in {run.folder} was made for", remedy)
    table = collect(run.runner(), examples, found.programs)
    prompts = [run.task.prompt(example) for example in examples]
    groups = [example.group for example in examples]
    n_raced = run.section("menu", MenuConfig).race_questions
    unseen = [run.task.prompt(example) for example in unseen_examples(run, examples)]
    policy = train_selector(run.stack, found, prompts, table, config, groups, n_raced, unseen)
    policy.save(run.folder)
    run.record("selector", config)
    run.note_provenance("selector")
    run.selector = policy
    return policy


def evaluate(
    run: Run,
    config: EvaluateConfig,
    progress: Tally = UNWATCHED,
    on: Run | None = None,
) -> Report:
    """Judge policies on held-out questions and write the report into the run folder.

    Args:
        run: A run folder with a finished search or menu, and what the policies need.
        config: What to ask.
        progress: Told about finished answers, and how many will come.
        on: The folder of another task, from `Run.beside`, whose questions are asked; the report
            goes there.

    Raises:
        UnknownNameError: A policy is not known.
        ProgramError: The program of a `fixed` policy is none.
        RunError: The search is not finished, or the run lacks what a policy needs.
        ConfigError: The questions were learned from, or a policy makes no sense for them.
    """
    asked = [checked_name(name) for name in ("identity", *(config.policies or available(run)))]
    names = list(dict.fromkeys([*asked, *(controls_of(asked) if config.controls else ())]))
    if not run.has("menu"):
        run.finished("search", SearchConfig)
    where = on or run
    examples = held_out(where, config, run)
    refuse_samples_of_choices(names, examples)
    refuse_chosen_here(names, config.split)
    refuse_unknown_categories(names, examples, where, run)
    methods = make_methods(names, run, progress, config.k, [where.task])
    judge(where, methods, examples, config, run, progress)
    return report(where)


def report(run: RunFolder) -> Report:
    """Make the report of the last evaluation again, or else of what was found; no model runs.

    Raises:
        RunError: There is no finished search, menu or evaluation, or a part of what is shown is
            missing or damaged.
        DataError: The records of the evaluation are damaged.
    """
    return reporting.report(run, _judged_split(run))


def report_and_details(run: RunFolder) -> tuple[Report, Details]:
    """Return what `report` tells, and the questions behind it."""
    return reporting.report_and_details(run, _judged_split(run))


def _judged_split(run: RunFolder) -> str | None:
    """Return the split of the last evaluation; None before the first one.

    Raises:
        RunError: It is not finished, or nothing else is that could be shown.
    """
    if run.has("evaluate"):
        return run.finished("evaluate", EvaluateConfig).split
    started = [stage for stage in _SHOWN if run.has(stage)]
    if not started:
        raise RunError(
            f"{run.folder} holds nothing to show: run 'skiploop search', 'skiploop menu build' or "
            "'skiploop fit' with it first"
        )
    for stage in [stage for stage in started if run.facts(stage)] or started:
        run.finished(stage, _SHOWN[stage])
    return None


def _announce(run: Run, stage: str, n_rows: int, split: str) -> None:
    """Say how long a stage takes, before it starts; nothing if it is finished."""
    if run.facts(stage):
        return
    stack = run.stack
    left = work(stage, n_rows, run.task, split, size_of(stack.model), stack.tokenizer)
    _log.info("%s", left.words(stated_rate(run.device, torch.get_num_threads())))


def _graded_programs(run: Run) -> tuple[list[QuestionPrograms], ProgramSpace]:
    """Return what is known of the questions that were searched, or of those of the menu."""
    n_layers = run.stack.n_layers
    if run.has("menu") and not run.has("search"):
        examples = menu_examples(run)
        table = collect(run.runner(), examples, Menu.load(run.folder).programs)
        space = run.section("menu", MenuConfig).space(n_layers)
        return [
            _question(run, example, list(zip(table.programs, row, strict=True)))
            for example, row in zip(examples, table.right_QP, strict=True)
        ], space
    searched = run.finished("search", SearchConfig)
    trials = run.store.asked("search", n_layers)
    graded = [
        _question(run, e, [(t.program, t.correct) for t in trials.get(e.id, ())])
        for e in searched_examples(run)
    ]
    return graded, searched.space(n_layers)


def _question(
    run: Run, example: Example, verdicts: Sequence[tuple[Program, float | None]]
) -> QuestionPrograms:
    return QuestionPrograms(
        example_id=example.id,
        prompt=run.task.prompt(example),
        valid=tuple(program for program, right in verdicts if right == 1),
        group=example.group,
    )


def _is_validation(example_id: str) -> bool:
    return derive_seed("validation", example_id) < VALIDATION_SHARE * 2**63
