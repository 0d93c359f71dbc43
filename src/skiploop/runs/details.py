"""The questions of a report with all that was answered to them, from what a run folder holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from skiploop.errors import RunError, one_line
from skiploop.evaluation.records import Record
from skiploop.jsontext import read_json
from skiploop.menus.menu import Menu
from skiploop.programs.program import Program
from skiploop.report.details import Asked, Details, Grown, Step
from skiploop.runs.folder import RunFolder
from skiploop.runs.questions import menu_examples, searched_examples
from skiploop.runs.session import BESIDE
from skiploop.search.campaign import SearchConfig, seed_of
from skiploop.search.methods import METHODS
from skiploop.search.protocol import Outcome
from skiploop.search.released import ReleasedTree
from skiploop.search.tree import Tree
from skiploop.tasks.base import Example
from skiploop.trials.store import Trial

N_SEARCHES = 20
"""Searches that are shown: growing a tree of 200 steps again takes a second."""


def details(
    run: RunFolder,
    examples: Sequence[Example],
    records: Sequence[Record],
    menu: Menu | None,
    n_layers: int,
) -> Details:
    """Return what stands behind the numbers of a report.

    `examples` are those on which policies were judged, if any were.

    Raises:
        RunError: The menu is not finished, or its trials are lost or damaged.
    """
    answers: dict[str, dict[str, Record]] = {example.id: {} for example in examples}
    for record in records:
        if record.rank == 0:
            answers[record.example_id][record.policy] = record
    judged_by_id = _trials(run, examples, n_layers)
    judged = [
        Asked(
            example=example,
            prompt=run.task.prompt(example),
            answers=answers[example.id],
            trials=judged_by_id[example.id],
        )
        for example in examples
    ]
    return Details(
        judged=judged,
        of_menu=_of_menu(run, menu) if menu else (),
        searches=_searches(run, n_layers) if run.facts("search") else (),
        elsewhere=_elsewhere(run),
    )


def _elsewhere(run: RunFolder) -> dict[str, object]:
    """Return the rows of policies of the reports on other tasks, by title."""
    found: dict[str, object] = {}
    for path in sorted((run.folder / BESIDE).glob("*/report.json")):
        try:
            told = read_json(path)
            found[str(told["title"])] = told["policies"]
        except (OSError, ValueError, KeyError) as error:
            raise RunError(
                f"cannot read {path}: {one_line(error)}; 'skiploop report {path.parent}' makes it "
                "again"
            ) from error
    return found


def _searches(run: RunFolder, n_layers: int) -> list[Grown]:
    """Return the first searches, their trees grown again from the recorded verdicts.

    A search that does not grow again as it was recorded, such as one of other rules that was
    imported, is left out.
    """
    config = run.section("search", SearchConfig)
    grow = METHODS[config.method].grow
    with run.reading() as store:
        tried = store.asked("search", n_layers)
    grown = []
    for example in [one for one in searched_examples(run) if one.id in tried][:N_SEARCHES]:
        trials = tried[example.id]
        if grow:
            tree = grow(config, n_layers, seed_of(run.config.seed, example))
            grown.append(_grown(example, tree, trials))
        else:
            grown.append(_star(example, trials))
    return [one for one in grown if one is not None]


def _grown(example: Example, tree: Tree | ReleasedTree, trials: Sequence[Trial]) -> Grown | None:
    steps, tried = [], set[Program]()
    for trial in trials:
        if tree.ask(1) != [trial.program]:
            return None
        tried.add(trial.program)
        walk = [program for program in tree.walk_to(trial.program) if program in tried]
        steps.append(Step(trial, walk))
        tree.tell(trial.program, Outcome(trial.correct, trial.gold_logprob))
    return Grown(example, steps)


def _star(example: Example, trials: Sequence[Trial]) -> Grown:
    """Return a search that is no tree: every program comes straight from the plain model."""
    plain = Program.identity(trials[0].program.n_layers)
    ways = [list(dict.fromkeys([plain, trial.program])) for trial in trials]
    return Grown(example, [Step(trial, way) for trial, way in zip(trials, ways, strict=True)])


def _of_menu(run: RunFolder, menu: Menu) -> list[Asked]:
    """Return what all programs on a menu answered to the questions that it was made for."""
    examples = menu_examples(run)
    by_id = _trials(run, examples, menu.programs[0].n_layers)
    asked = []
    for example in examples:
        known = {trial.program: trial for trial in by_id[example.id]}
        trials = [known[program] for program in menu.programs if program in known]
        asked.append(Asked(example=example, prompt=run.task.prompt(example), trials=trials))
    return asked


def _trials(
    run: RunFolder, examples: Sequence[Example], n_layers: int
) -> Mapping[str, Sequence[Trial]]:
    with run.reading() as store:
        return store.of_examples([example.id for example in examples], n_layers)
