"""The questions of a report with all that was answered to them, from what a run folder holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from skiploop.errors import RunError, one_line
from skiploop.evaluation.records import Record
from skiploop.jsontext import read_json
from skiploop.menus.menu import Menu
from skiploop.report.details import Asked, Details, Grown, Step
from skiploop.runs.folder import RunFolder
from skiploop.runs.questions import menu_examples, searched_examples
from skiploop.runs.session import BESIDE
from skiploop.search.campaign import SearchConfig, Searcher
from skiploop.tasks.base import Example
from skiploop.trials.store import Trial

N_SEARCHES = 20
"""Searches that are shown: growing a tree of 200 steps again takes a second."""


def details(
    run: RunFolder, examples: Sequence[Example], records: Sequence[Record], menu: Menu | None
) -> Details:
    """Return what stands behind the numbers of a report.

    Args:
        run: A run folder with a finished evaluation.
        examples: The questions on which the policies were judged.
        records: Of all policies.
        menu: Of the run, if it has one.

    Raises:
        RunError: The menu is not finished, or its trials are lost or damaged.
    """
    answers: dict[str, dict[str, Record]] = {example.id: {} for example in examples}
    for record in records:
        if record.rank == 0:
            answers[record.example_id][record.policy] = record
    judged_by_id = _trials(run, examples, records[0].program.n_layers)
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
        searches=_searches(run, records[0].program.n_layers) if run.has("search") else (),
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
    with run.reading() as store:
        tried = store.asked("search", n_layers)
    examples = [example for example in searched_examples(run) if example.id in tried]
    grown = [
        _grown(example, config.searcher_of(example, n_layers, run.config.seed), tried[example.id])
        for example in examples[:N_SEARCHES]
    ]
    return [one for one in grown if one is not None]


def _grown(example: Example, searcher: Searcher, trials: Sequence[Trial]) -> Grown | None:
    steps = []
    for trial in trials:
        if searcher.ask() != trial.program:
            return None
        steps.append(Step(trial, searcher.walk_to(trial.program)))
        searcher.tell(trial.program, None if trial.correct is None else float(trial.correct))
    return Grown(example, steps)


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
