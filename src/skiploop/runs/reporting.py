"""The report of a run, from what its folder holds: no model runs for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from skiploop.errors import RunError
from skiploop.evaluation.measured import Measured
from skiploop.evaluation.readings import read_before, read_readings
from skiploop.evaluation.records import RECORDS, Record, read_records
from skiploop.evaluation.search_table import SearchOutcome, SearchTable, search_table
from skiploop.evaluation.shuffled_answers import shuffled_accuracy
from skiploop.menus.menu import Menu
from skiploop.models.outline import outline
from skiploop.report.details import Details
from skiploop.report.report import Report, build_report
from skiploop.report.write import write_report
from skiploop.runs.details import details
from skiploop.runs.folder import RunFolder
from skiploop.runs.questions import searched_examples
from skiploop.tasks.base import Example


def report(run: RunFolder, split: str | None) -> Report:
    """Make the report of a run and write it into its folder.

    `split` is that of the questions of the last evaluation; None before the first one.

    Raises:
        RunError: A part is missing or damaged; the message names it.
        DataError: The records are damaged.

    Guarantees:
        Made again, its files are the same, to the byte (tests/model/test_reporting.py).
    """
    found, behind = report_and_details(run, split)
    write_report(run.folder, found, behind)
    return found


def report_and_details(run: RunFolder, split: str | None) -> tuple[Report, Details]:
    """Return the report of a run, and the questions behind it; see `report`."""
    return _found(run) if split is None else _judged(run, split)


def _found(run: RunFolder) -> tuple[Report, Details]:
    """Return what a run has found before anything was judged."""
    menu = Menu.load(run.folder) if run.facts("menu") else None
    n_layers = menu.programs[0].n_layers if menu else outline(run.config.model).size.n_layers
    found = Report(
        title=f"{run.task.name}, {run.config.model}",
        menu=menu,
        search=read_search_table(run, n_layers) if run.facts("search") else None,
        provenance=run.facts("menu") or run.facts("search"),
    )
    return found, details(run, (), (), menu, n_layers)


def _judged(run: RunFolder, split: str) -> tuple[Report, Details]:
    """Return the report of the last evaluation."""
    records = read_records(run.folder / RECORDS)
    everything = run.task.examples(split)
    examples = _asked(run, everything, records)
    measured = Measured.load(run.folder)
    menu = Menu.load(run.folder) if run.facts("menu") else None
    n_layers = records[0].program.n_layers
    found = build_report(
        records,
        title=f"{run.task.name}, {split}, {run.config.model}",
        examples=examples,
        shuffled_answers=shuffled_accuracy(records, run.task, examples),
        menu=menu,
        search=read_search_table(run, n_layers) if run.facts("search") else None,
        timing=measured.timing,
        provenance=run.facts("evaluate"),
    )
    earlier = read_readings(run.folder)[:-1]  # the last one is that of these records
    before = read_before(earlier, everything, examples)
    found = replace(found, calibration=measured.calibration, read_before=before)
    return found, details(run, examples, records, menu, n_layers)


def read_search_table(run: RunFolder, n_layers: int) -> SearchTable:
    """Return the table of a search from the trials that it recorded."""
    control = run.store.asked("random", n_layers)
    groups = {example.id: example.group for example in searched_examples(run)}
    return search_table(
        SearchOutcome(
            example_id,
            [(trial.program, trial.correct) for trial in trials],
            [(trial.program, trial.correct) for trial in control.get(example_id, ())],
            groups.get(example_id, ""),
        )
        for example_id, trials in run.store.asked("search", n_layers).items()
    )


def _asked(
    run: RunFolder, everything: Sequence[Example], records: Sequence[Record]
) -> list[Example]:
    """Return the questions of some records, in their order."""
    by_id = {example.id: example for example in everything}
    asked = dict.fromkeys(record.example_id for record in records)
    unknown = [example_id for example_id in asked if example_id not in by_id]
    if unknown or not asked:
        what = f"of {unknown[0]!r}, no question of its task" if unknown else "of no question"
        raise RunError(
            f"{run.folder / RECORDS} holds records {what}: restore it, or run the same "
            "'skiploop evaluate' command again"
        )
    return [by_id[example_id] for example_id in asked]
