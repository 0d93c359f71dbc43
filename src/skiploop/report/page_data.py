"""What the page of a report shows, as a script that hands it over: it opens from a disk, too.

Programs and texts stand in lists of their own, and are elsewhere named by their place there.
"""

from __future__ import annotations

import json
import math
import os.path
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

from skiploop.evaluation.changed_answers import shortened
from skiploop.evaluation.records import Record
from skiploop.jsontext import plain
from skiploop.programs.program import Program
from skiploop.report.details import Asked, Details, Grown
from skiploop.report.report import Report
from skiploop.trials.store import Trial

LESS_THAN = "\\u003c"
"""How JSON may write `<`, which a script may not hold in a text."""

_Value = TypeVar("_Value", bound=Hashable)


class Places(Generic[_Value]):
    """Values in a list, each once.

    Example:
        >>> places = Places()
        >>> places.of("a"), places.of("b"), places.of("a"), list(places.values)
        (0, 1, 0, ['a', 'b'])
    """

    def __init__(self) -> None:
        self.values: dict[_Value, int] = {}

    def of(self, value: _Value) -> int:
        """Return the place of a value, which is added to the list if it is new."""
        return self.values.setdefault(value, len(self.values))


def data_script(report: Report, details: Details) -> str:
    """Return `data.js`.

    Guarantees:
        No text in it ends a script, wherever it is put (tests/unit/test_page_data.py).
    """
    data = json.dumps(
        page_data(report, details), ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    return f"const DATA = {data.replace('<', LESS_THAN)};\n"


def page_data(report: Report, details: Details) -> dict[str, object]:
    """Return what the page shows, as plain data.

    An answer is a list: program, verdict, how sure it is, text. A trial is one, too: program,
    verdict, probability of its text, text, and the probability of the right answer.
    """
    programs: Places[Program] = Places()
    texts: Places[str] = Places()
    if report.menu:  # its programs come first, in its order
        for program in report.menu.programs:
            programs.of(program)
    parts = {"judged": details.judged, "menu": details.of_menu}
    questions = {name: _questions(asked, programs, texts) for name, asked in parts.items()}
    return {
        "report": plain(report),
        "questions": questions,
        "searches": [_search(grown, programs, texts) for grown in details.searches],
        "elsewhere": details.elsewhere,
        "programs": [_program(program) for program in programs.values],
        "texts": list(texts.values),
    }


def _questions(
    asked: Sequence[Asked], programs: Places[Program], texts: Places[str]
) -> list[dict[str, object]]:
    beginnings = _beginnings(asked)
    return [
        {
            "id": one.example.id,
            "question": one.example.question,
            "gold": one.example.gold,
            "category": one.example.category,
            "prompt": [
                texts.of(beginnings[one.example.category]),
                one.prompt[len(beginnings[one.example.category]) :],
            ],
            "answers": {
                policy: _answer(record, programs, texts) for policy, record in one.answers.items()
            },
            "trials": [_trial(trial, programs, texts) for trial in one.trials],
        }
        for one in asked
    ]


def _beginnings(asked: Sequence[Asked]) -> dict[str, str]:
    """Return, by category, what all prompts start with: examples take most of a prompt."""
    prompts: dict[str, list[str]] = {}
    for one in asked:
        prompts.setdefault(one.example.category, []).append(one.prompt)
    return {
        category: os.path.commonprefix(some)  # noqa: RUF071 - no paths
        for category, some in prompts.items()
    }


def _search(grown: Grown, programs: Places[Program], texts: Places[str]) -> dict[str, object]:
    """Return a search: each step is a trial, and the steps that led to it from the identity."""
    step_of = {step.trial.program: number for number, step in enumerate(grown.steps)}
    return {
        "id": grown.example.id,
        "question": grown.example.question,
        "gold": grown.example.gold,
        "steps": [
            [*_trial(step.trial, programs, texts), [step_of[program] for program in step.walk]]
            for step in grown.steps
        ],
    }


def _answer(record: Record, programs: Places[Program], texts: Places[str]) -> list[object]:
    sure = None if record.confidence is None else round(record.confidence, 4)
    return [
        programs.of(record.program),
        record.correct,
        sure,
        texts.of(shortened(record.text)),
    ]


def _trial(trial: Trial, programs: Places[Program], texts: Places[str]) -> list[object]:
    text = f"{trial.text} …" if trial.stopped_by == "decided" else trial.text
    return [
        programs.of(trial.program),
        trial.correct,
        _probability(trial.logprob),
        texts.of(shortened(text)),
        _probability(trial.gold_logprob),
    ]


def _probability(logprob: float | None) -> float | None:
    return None if logprob is None else round(math.exp(min(logprob, 0.0)), 4)


def _program(program: Program) -> dict[str, object]:
    """Return a program with how often each layer runs."""
    return {
        "text": str(program),
        "slots": program.n_slots,
        "runs": [program.path.count(layer) for layer in range(program.n_layers)],
        "damped": any(edit.anchor is not None for edit in program.edits),
    }
