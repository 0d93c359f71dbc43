"""Questions, pairs and trials as plain data, on their way between processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from skiploop.tasks.base import Example
from skiploop.trials.evaluator import Pair
from skiploop.trials.store import Trial, program_of, row_of, trial_of

Rows = list[list[Any]]


def trials_out(trials: Iterable[Trial]) -> Rows:
    """Return trials as plain data."""
    return [list(row_of(trial)) for trial in trials]


def trials_in(rows: Iterable[Sequence[Any]], n_layers: int) -> list[Trial]:
    """Return the trials that `trials_out` made plain data of."""
    return [trial_of(row, program_of(row[1], n_layers)) for row in rows]


def examples_out(examples: Iterable[Example]) -> list[dict[str, Any]]:
    """Return questions as plain data."""
    return [asdict(example) for example in examples]


def examples_in(plain: Iterable[Mapping[str, Any]]) -> list[Example]:
    """Return the questions that `examples_out` made plain data of."""
    return [Example(**{**one, "choices": tuple(one["choices"])}) for one in plain]


def pairs_out(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return pairs as plain data, each question once."""
    examples = {example.id: example for example, _ in pairs}
    return {
        "examples": examples_out(examples.values()),
        "pairs": [[example.id, str(program)] for example, program in pairs],
    }


def pairs_in(plain: Mapping[str, Any], n_layers: int) -> list[Pair]:
    """Return the pairs that `pairs_out` made plain data of."""
    examples = {example.id: example for example in examples_in(plain["examples"])}
    return [
        (examples[example_id], program_of(text, n_layers)) for example_id, text in plain["pairs"]
    ]
