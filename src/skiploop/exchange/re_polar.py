"""RE-PoLar's files: PoLar's samples, or a dense grid of a menu's programs on all questions.

Its released files name questions by `query_id` alone; their texts are in the lists that its own
reconstruction of DART-Math writes (`diff1/train.json` and so on).

Source: DATEXIS/RE-PoLar @88c9819, data/DATA.md, read and not copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from skiploop.exchange import polar
from skiploop.exchange.contents import Contents, Judged
from skiploop.exchange.polar import Question, read_samples
from skiploop.exchange.reading import PathReader, Place, Source, read_json
from skiploop.programs.program import Program

_GRIDS = "per_difficulty"

write = polar.write
"""Both projects read what it writes."""


def read(source: Source) -> Contents:
    """Read samples, or a grid.

    Raises:
        DataError: The file is neither; the message names record and field.
    """
    named = dict(pair for path in source.questions for pair in _questions(path))
    data = read_json(source.path)
    if isinstance(data, dict) and _GRIDS in data:
        return _read_grids(data[_GRIDS], source, named)
    return read_samples(data, source, named)


def _questions(path: Path) -> Iterator[tuple[str, Question]]:
    """Yield the questions of a list by their names."""
    place = Place(path)
    for i, value in enumerate(place.items(read_json(path))):
        at = place / f"record {i}"
        record = at.record(value)
        name, text, gold = (
            (at / field).text(at.field(record, field))
            for field in ("query_id", "question", "gt_ans")
        )
        yield name, (text, gold)


def _read_grids(grids: object, source: Source, named: Mapping[str, Question]) -> Contents:
    place, paths = Place(source.path) / _GRIDS, PathReader(source.n_layers)
    questions = [
        judged
        for i, grid in enumerate(place.items(grids))
        for judged in _grid(grid, place / f"record {i}", paths, named)
    ]
    if not questions:
        raise place.error("there are no questions")
    paths.check_depth(Place(source.path))
    programs = dict.fromkeys(p for one in questions for p in (*one.right, *one.wrong))
    return Contents(tuple(programs), tuple(questions), tuple(paths.left_out))


def _grid(
    grid: object, place: Place, paths: PathReader, named: Mapping[str, Question]
) -> Iterator[Judged]:
    record = place.record(grid)
    names = (place / "qids").items(place.field(record, "qids"))
    columns = dict(
        pair
        for i, column in enumerate(place.items(place.field(record, "per_program")))
        for pair in _column(column, place / f"per_program {i}", paths, len(names))
    )
    for i, name in enumerate(names):
        if name not in named:
            raise (place / f"qids {i}").error(
                f"no question is known for {name!r}: a grid holds no texts; give the files that "
                "have them, as --questions train.json"
            )
        text, gold = named[name]
        yield Judged(
            text,
            gold,
            tuple(program for program, rewards in columns.items() if rewards[i]),
            tuple(program for program, rewards in columns.items() if not rewards[i]),
        )


def _column(
    column: object, place: Place, paths: PathReader, n_questions: int
) -> Iterator[tuple[Program, Sequence[Any]]]:
    """Yield a program and its verdicts, nothing where its path is no program."""
    record = place.record(column)
    rewards = (place / "rewards").items(place.field(record, "rewards"))
    if len(rewards) != n_questions:
        raise (place / "rewards").error(f"{len(rewards)} verdicts for {n_questions} questions")
    for i, reward in enumerate(rewards):
        if reward not in (0, 1):
            raise (place / f"rewards {i}").refuse(reward, "0 or 1")
    for program in paths.read(place.field(record, "path"), place / "path"):
        yield program, rewards
