"""PoLar's `merged_mcts_samples.json`: questions with the layer paths that a search tried.

RE-PoLar writes the same records with some other fields. A path is the list of executed layers.
Their own trees also try paths that are no program, such as a layer left out of one pass of a loop
and not of the other.

Source: tianyi-lab/PoLar @30d0efd (README, polar/data.py) and @c86d76e (mcts_discovery/), read and
not copied; DATEXIS/RE-PoLar @88c9819 (data/DATA.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from skiploop.box import BOX, box_end
from skiploop.exchange.contents import Contents, Judged, path_of
from skiploop.exchange.reading import PathReader, Place, Source, read_json
from skiploop.files import write_atomic
from skiploop.jsontext import json_text
from skiploop.programs.program import Program

Question = tuple[str, str]
"""Text and right answer."""

_INFO = "sample_info"
_TEXT = ("question", f"{_INFO}.question", f"{_INFO}.query")
_GOLD = ("gt_ans", "ground_truth", "answer", f"{_INFO}.ground_truth", f"{_INFO}.answer")
_NAME = ("query_id", f"{_INFO}.query_id")
_RIGHT = ("final_valid_transitions", "valid_transitions")
_WRONG = ("final_invalid_transitions", "invalid_transitions")
_BASE = ("initial_transition_metric", "initial_score", "evaluation_result.initial_score")


def read(source: Source) -> Contents:
    """Read questions and the verdicts of their paths.

    Raises:
        DataError: The file is no such file; the message names record and field.
    """
    return read_samples(read_json(source.path), source, {})


def read_samples(data: object, source: Source, named: Mapping[str, Question]) -> Contents:
    """Return what a parsed file holds.

    Args:
        data: An object with `samples`, a list of records, or an object whose values they are.
        source: Where it comes from.
        named: Questions by their `query_id`, for records without texts.

    Raises:
        DataError: A record is none.
    """
    place, paths = Place(source.path), PathReader(source.n_layers)
    questions = [
        _judged(at.record(sample), at, paths, named) for at, sample in _samples(data, place)
    ]
    if not questions:
        raise place.error("there are no samples")
    paths.check_depth(place)
    return Contents(questions=tuple(questions), left_out=tuple(paths.left_out))


def _samples(data: object, place: Place) -> Iterator[tuple[Place, object]]:
    if isinstance(data, dict) and "samples" in data:
        data, place = data["samples"], place / "samples"
    if isinstance(data, dict):  # values that are no objects are a header
        data = [value for value in data.values() if isinstance(value, dict)]
    for i, sample in enumerate(place.items(data)):
        yield place / f"record {i}", sample


def _judged(
    sample: Mapping[str, Any], place: Place, paths: PathReader, named: Mapping[str, Question]
) -> Judged:
    text, gold = _question(sample, place, named)
    field, value = _first(sample, _RIGHT, place)
    right = paths.read_all(value or [], place / field)
    field, value = _first(sample, _WRONG, place, needed=False)
    wrong = paths.read_all(value or [], place / field)
    both = set(right) & set(wrong)
    if both:
        raise place.error(f"path of {min(map(str, both))!r} is both right and wrong")
    identity = Program.identity(paths.n_layers)
    field, base = _first(sample, _BASE, place, needed=False)
    if identity in right or identity in wrong or base is None:
        return Judged(text, gold, right, wrong)
    if type(base) not in (int, float, bool):
        raise (place / field).refuse(base, "a score")
    if base > 0:
        return Judged(text, gold, (identity, *right), wrong)
    return Judged(text, gold, right, (identity, *wrong))


def _question(sample: Mapping[str, Any], place: Place, named: Mapping[str, Question]) -> Question:
    field, text = _first(sample, _TEXT, place, needed=False)
    if text:
        text = (place / field).text(text)
        field, gold = _first(sample, _GOLD, place)
        return text, _unboxed((place / field).text(gold))
    name = _first(sample, _NAME, place, needed=False)[1]
    if name in named:
        return named[str(name)]
    raise place.error(
        f"field 'question' is missing, and no question is known for query_id {name!r}: RE-PoLar's "
        "released files leave texts out; give the files that have them, as --from re-polar "
        "--questions train.json"
    )


def _first(
    sample: Mapping[str, Any], fields: tuple[str, ...], place: Place, *, needed: bool = True
) -> tuple[str, Any]:
    """Return the first field that is there and not null, and its value."""
    for field in fields:
        outer, _, inner = field.rpartition(".")
        holder = sample.get(outer) if outer else sample
        if isinstance(holder, dict) and holder.get(inner) is not None:
            return field, holder[inner]
    if needed and not any(field in sample for field in fields):
        raise place.error(f"field {fields[0]!r} is missing")
    return fields[0], None


def _unboxed(gold: str) -> str:
    r"""Return an answer without the `\boxed{}` around all of it."""
    start = f"\\b{BOX}"
    inside = gold.startswith(start) and box_end(gold, len(start)) == len(gold) - 1
    return gold[len(start) : -1].strip() if inside else gold


def write(out: Path, contents: Contents, _model: object) -> None:
    """Write questions with the fields of PoLar and of RE-PoLar.

    Raises:
        ProgramError: A program is no path.
    """
    samples = [_sample(i, judged) for i, judged in enumerate(contents.questions)]
    write_atomic(out, json_text({"samples": samples}) + "\n")


def _sample(number: int, judged: Judged) -> dict[str, object]:
    programs = chain(judged.right, judged.wrong)
    identity = next((program for program in programs if program.is_identity), None)
    base = {} if identity is None else dict.fromkeys(_BASE[:2], float(identity in judged.right))
    name = f"skiploop-{number}"
    return {
        "sample_id": number,
        "query_id": name,
        "question": judged.question,
        "gt_ans": judged.gold,
        **base,
        _RIGHT[0]: [path_of(program, "PoLar's samples") for program in judged.right],
        _WRONG[0]: [path_of(program, "PoLar's samples") for program in judged.wrong],
        _INFO: {"query_id": name, "question": judged.question, "ground_truth": judged.gold},
    }
