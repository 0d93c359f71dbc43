"""The stages of a run: search programs, train a predictor, evaluate policies.

Each stage reads what the stage before it left in the run folder, and can be interrupted and
started again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from skiploop.errors import ConfigError
from skiploop.evaluation.answering import answer_all
from skiploop.evaluation.measured import Measured
from skiploop.evaluation.readings import Reading, read_readings, unread, write_readings
from skiploop.evaluation.records import RECORDS, write_records
from skiploop.evaluation.search_table import SearchTable
from skiploop.evaluation.timing import time_choices
from skiploop.menus.menu import Menu, MenuConfig, build_menu, coverage
from skiploop.models.identity import check_model
from skiploop.policies.by_category import check_categories
from skiploop.policies.polar.checkpoint import Metrics
from skiploop.policies.polar.policy import PREDICTOR_FOLDER, PredictorPolicy, has_predictor
from skiploop.policies.polar.recipe import train as train_predictor
from skiploop.policies.polar.targets import QuestionPrograms
from skiploop.policies.polar.training import TrainConfig
from skiploop.policies.selector.calibration import CalibrationBin, calibration
from skiploop.policies.selector.choice import PromptFeatures
from skiploop.policies.selector.learning import SelectorConfig
from skiploop.policies.selector.policy import SelectorPolicy, train_selector
from skiploop.programs.program import Program
from skiploop.programs.space import ProgramSpace
from skiploop.report.report import Report
from skiploop.runs import reporting
from skiploop.runs.folder import RunFolder
from skiploop.runs.methods.make import make_methods
from skiploop.runs.policies import available, checked_name, controls_of, entry_of
from skiploop.runs.questions import menu_examples, searched_examples
from skiploop.runs.session import Run
from skiploop.search.campaign import Campaign, SearchConfig
from skiploop.seeds import derive_seed
from skiploop.tasks.base import Example, Task
from skiploop.trials.runner import Progress
from skiploop.trials.score_table import collect

VALIDATION_SHARE = 0.2
"""Share of the searched questions by which the best epoch is chosen."""


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """What one evaluation asks.

    Attributes:
        policies: Names that `policies.checked_name` takes; the identity is always among them. None
            for all that the run has something for.
        limit: Questions at most, the first ones of the split; None for all.
        fresh: As many questions that this run has not read before, in place of the first ones.
        split: Held-out part of the task.
        k: Programs a policy may rank for the oracle.
        controls: Whether those of a selector are judged beside it.

    Raises:
        ConfigError: A number is less than 1.
    """

    policies: tuple[str, ...] | None = None
    limit: int | None = 200
    fresh: int | None = None
    split: str = "test"
    k: int = 5
    controls: bool = True

    def __post_init__(self) -> None:
        if self.k < 1 or (self.limit is not None and self.limit < 1):
            raise ConfigError(f"limit is {self.limit} and k is {self.k}: give at least 1 each")
        if self.fresh is not None and self.fresh < 1:
            raise ConfigError(f"fresh is {self.fresh}: ask for at least 1 question")


def search(run: Run, config: SearchConfig, progress: Progress | None = None) -> SearchTable:
    """Search programs for the first questions of a split, and run the chance control.

    Args:
        run: The run folder.
        config: What to try.
        progress: Told about finished trials.

    Returns:
        What was found, in the form of Table 1 of arXiv 2606.06574.

    Raises:
        RunError: The folder holds a search with other settings.
    """
    examples = run.task.examples(config.split, config.limit)
    runner = run.runner(progress)  # loads the model: a wrong name must not occupy the folder
    with run.lock_config("search", config):
        campaign = Campaign(runner, examples, config, run.config.seed)
        campaign.search()
        campaign.control()
    run.note_provenance("search")
    return reporting.read_search_table(run, run.stack.n_layers)


def within_reach(config: SearchConfig, task: Task) -> SearchConfig:
    """Return the search of all questions of the split if they are fewer than the limit.

    Args:
        config: A search whose limit nobody asked for.
        task: What would be searched.

    Raises:
        ConfigError: The split is unknown.
    """
    try:
        task.examples(config.split, config.limit)
    except ConfigError:
        return replace(config, limit=max(1, len(task.examples(config.split))))
    return config


def train(
    run: Run, config: TrainConfig, progress: Callable[[Metrics], None] | None = None
) -> PredictorPolicy:
    """Train the predictor on the programs that the search found, or those on the menu.

    Args:
        run: A run folder with a finished search, or a finished menu and no search.
        config: The recipe.
        progress: Told about finished epochs.

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


def menu(run: Run, config: MenuConfig, progress: Progress | None = None) -> Menu:
    """Make a menu, and judge every question under every program on it.

    Args:
        run: The run folder.
        config: How the menu is made.
        progress: Told about finished trials.

    Raises:
        RunError: The folder holds a menu with other settings.
    """
    examples = run.task.examples(config.split, config.limit)
    runner = run.runner(progress)  # loads the model: a wrong name must not occupy the folder
    with run.lock_config("menu", config):
        found = build_menu(runner, examples[: config.race_questions], config)
        table = collect(runner, examples, found.programs)
    raced = {example.group for example in examples[: config.race_questions]}
    is_new_Q = [example.group not in raced for example in examples]
    found = replace(found, oracle_coverage=coverage(table.right_QP[is_new_Q]))
    found.save(run.folder)
    run.note_provenance("menu")
    return found


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
    policy = train_selector(run.stack, found, prompts, table, config, groups, n_raced)
    policy.save(run.folder)
    run.record("selector", config)
    run.note_provenance("selector")
    run.selector = policy
    return policy


def evaluate(
    run: Run,
    config: EvaluateConfig,
    progress: Progress | None = None,
    expect: Callable[[int], None] | None = None,
) -> Report:
    """Judge policies on held-out questions and write the report into the run folder.

    Args:
        run: A run folder with a finished search or menu, and what the policies need.
        config: What to ask.
        progress: Told about finished trials.
        expect: Told how many trials will come, once the policies have chosen.

    Raises:
        UnknownNameError: A policy is not known.
        ProgramError: The program of a `fixed` policy is none.
        RunError: The search is not finished, or the run lacks what a policy needs.
        ConfigError: The questions were learned from, or a policy makes no sense for them.
    """
    asked = [checked_name(name) for name in ("identity", *(config.policies or available(run)))]
    names = list(dict.fromkeys([*asked, *(controls_of(asked) if config.controls else ())]))
    examples = _held_out_examples(run, config)
    _refuse_samples_of_choices(names, examples)
    _refuse_chosen_here(names, config.split)
    methods = make_methods(names, run, progress, config.k)
    if any(entry_of(name).learns_from_menu for name in names):
        check_categories(menu_examples(run), examples)
    prompts = [run.task.prompt(example) for example in examples]
    features = _features(run, names)
    if features:
        features.remember(prompts)
    records = answer_all(methods, examples, run.runner(progress), expect)
    if features:
        features.forget()  # choosing is timed with all that it takes
    run.forget("evaluate")  # not before, and finished again at the end
    run.record("evaluate", config)
    readings = read_readings(run.folder)  # before the records, which may tell of the first one
    now = Reading(tuple(example.id for example in examples), tuple(names))
    write_readings(run.folder, [*readings, now])
    write_records(run.folder / RECORDS, records)
    timing = None
    if run.task.max_new_tokens:  # nothing is generated for choices
        choices = [m for m in methods if entry_of(m.name).role == "choice"]
        timing = time_choices(run.stack, prompts, choices)
    Measured(timing=timing, calibration=_calibration(run, names)).save(run.folder)
    run.note_provenance("evaluate")
    return report(run)


def report(run: RunFolder) -> Report:
    """Make the report of the last evaluation again, without a model.

    Raises:
        RunError: There is no finished evaluation, or a part of it is missing or damaged.
        DataError: Its records are damaged.
    """
    return reporting.report(run, run.finished("evaluate", EvaluateConfig).split)


def _features(run: Run, names: Sequence[str]) -> PromptFeatures | None:
    """Return what reads prompts for all policies of the selector; None without one of them."""
    is_asked = any("selector" in entry_of(name).needs for name in names)
    return run.selector.features if is_asked else None


def _calibration(run: Run, names: Sequence[str]) -> tuple[CalibrationBin, ...]:
    """Return that of the run's selector, whatever its limits, if policies make use of it."""
    if not any("selector" in entry_of(name).needs for name in names):
        return ()
    data = run.selector.data
    return tuple(calibration(data.predicted_QP, data.score_QP, data.right_QP))


def _held_out_examples(run: Run, config: EvaluateConfig) -> list[Example]:
    """Return the questions of an evaluation, none of which anything was learned from."""
    learned_from: list[str] = []
    if run.has("menu"):
        learned_from.append(run.finished("menu", MenuConfig).split)
    if run.has("search") or not learned_from:
        learned_from.append(run.finished("search", SearchConfig).split)
    if config.split in learned_from:
        raise ConfigError(
            f"{run.folder} learned from the {config.split!r} questions: judge policies on "
            "questions that nothing was learned from, such as --split test"
        )
    examples = run.task.examples(config.split)
    if config.fresh is None:
        examples = examples[: config.limit]
    else:
        unseen = unread(read_readings(run.folder), examples)
        if len(unseen) < config.fresh:
            raise ConfigError(
                f"{run.folder} has not read {len(unseen)} of the {len(examples)} questions in "
                f"{config.split!r}, asked for {config.fresh}: lower fresh, or use another split"
            )
        examples = unseen[: config.fresh]
    if not examples:
        raise ConfigError(
            f"{run.task.name} has no questions in {config.split!r}: use another split"
        )
    return examples


def _refuse_samples_of_choices(names: Sequence[str], examples: Sequence[Example]) -> None:
    """Refuse policies that draw answers where one of several choices is picked."""
    samples = [name for name in names if entry_of(name).role == "sample"]
    if samples and any(example.choices for example in examples):
        raise ConfigError(
            f"{', '.join(samples)}: answers are drawn at random, but these questions have choices, "
            "of which the likeliest is picked; leave it out"
        )


def _refuse_chosen_here(names: Sequence[str], split: str) -> None:
    """Refuse policies that were chosen on the questions on which they are to be judged."""
    chosen = [name for name in names if split in entry_of(name).chosen_on]
    if chosen:
        raise ConfigError(
            f"{', '.join(chosen)} would be judged on the {split!r} questions that it is chosen by: "
            "use --split test"
        )


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
