"""Dr.LLM's results: questions with the layer paths that its search found good, column by column.

Its README speaks of vectors of 0, 1 and 2; the files hold paths. What is not listed as good is not
known to be wrong, but for the plain model, of which `original_correct` tells.

Source: parameterlab/dr-llm @14e8837, data_generation.py, read and not copied.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from skiploop.exchange.contents import Contents, Judged, path_of
from skiploop.exchange.reading import PathReader, Place, Source, read_json
from skiploop.files import write_atomic
from skiploop.jsontext import json_text
from skiploop.programs.program import Program, shortest_first

if TYPE_CHECKING:
    from skiploop.models.frozen import FrozenModel

_COLUMNS = ("questions", "best_response", "good_paths", "original_correct")


def read(source: Source) -> Contents:
    """Read questions and their good paths.

    Raises:
        DataError: The file is no such file; the message names record and field.
    """
    place, paths = Place(source.path), PathReader(source.n_layers)
    table = place.record(read_json(source.path))
    columns = {name: (place / name).items(place.field(table, name)) for name in _COLUMNS}
    sizes = {name: len(column) for name, column in columns.items()}
    if len(set(sizes.values())) != 1 or not sizes["questions"]:
        counts = ", ".join(f"{size} {name}" for name, size in sizes.items())
        raise place.error(f"columns must be of one length, and not empty: there are {counts}")
    rows = zip(*columns.values(), strict=True)
    questions = tuple(_judged(row, place / f"record {i}", paths) for i, row in enumerate(rows))
    return Contents(questions=questions, left_out=tuple(paths.left_out))


def _judged(row: tuple[Any, ...], place: Place, paths: PathReader) -> Judged:
    question, gold, good_paths, base = row
    if base not in (0, 1):
        raise (place / "original_correct").refuse(base, "0 or 1")
    identity = Program.identity(paths.n_layers)
    right = paths.read_all(good_paths, place / "good_paths")
    if base and identity not in right:
        right = (identity, *right)
    return Judged(
        (place / "questions").text(question),
        (place / "best_response").text(gold),
        right,
        () if identity in right else (identity,),
    )


def write(out: Path, contents: Contents, model: FrozenModel) -> None:
    """Write the columns and scalars that Dr.LLM's training reads.

    Raises:
        ProgramError: A program is no path.
    """
    rows = [_row(judged, Program.identity(model.n_layers)) for judged in contents.questions]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    n_rows = len(rows)
    table = {
        **columns,
        "original_accuracy": sum(columns["original_correct"]) / n_rows,
        "mcts_accuracy": sum(columns["mcts_correct"]) / n_rows,
        "average_path_length": sum(columns["path_lengths"]) / n_rows,
        "average_unique_layers": sum(columns["unique_layers"]) / n_rows,
        "num_samples": n_rows,
        "model_name": model.name,
    }
    write_atomic(out, json_text(table) + "\n")


def _row(judged: Judged, identity: Program) -> dict[str, Any]:
    best = min(judged.right, key=_shortest, default=identity)
    base, is_solved = identity in judged.right, bool(judged.right)
    return {
        "questions": judged.question,
        "best_response": judged.gold,
        "best_path": path_of(best, "Dr.LLM's labels"),
        "good_paths": [path_of(program, "Dr.LLM's labels") for program in judged.right],
        "original_correct": int(base),
        "mcts_correct": int(is_solved),
        "improved_cases": is_solved and not base,
        "path_lengths": best.n_slots,
        "unique_layers": len(set(best.path)),
    }


def _shortest(program: Program) -> tuple[int, int, tuple[int, int, tuple[int, ...]]]:
    """Return the order in which Dr.LLM looks for its best path, ties broken as elsewhere."""
    return program.n_slots, len(set(program.path)), shortest_first(program)
