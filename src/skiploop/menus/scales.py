"""Programs for a menu whose layers are scaled: learned on questions, none of which a table holds.

Each program is one scale for each layer, so it has as many layer passes as the plain model. A first
one is learned for all questions. Others start near it, and each follows the questions that it
answers best, so they come to differ: a mixture with hard assignments. What grows is the mean of
`sqrt(p)`, where p is the probability of the right answer: `log p` would be ruled by questions that
no program answers. The model is frozen; slopes are those of scales alone.

Shapes: K programs, Q questions of a batch, L layers.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from skiploop.config import to_dict
from skiploop.errors import DataError
from skiploop.jsontext import read_json, write_json
from skiploop.programs.program import Program
from skiploop.programs.scales import DIGITS, LARGEST, scaled_program
from skiploop.stack import LayerStack
from skiploop.tasks.base import Example, Task
from skiploop.trials.slopes import right_answer, root_slopes

SCALES_FILE = "scales.json"

BATCH = 96
"""Questions of one step."""

STEPS_FOR_ALL, STEPS_APART = 24, 40
"""Steps of the first program, and of the others from it."""

RATE = 0.015
"""Length of a step in each scale, about (Adam)."""

APART = 0.05
"""Deviation from the first program with which the others start."""

_MEAN, _SQUARE, _TINY = 0.9, 0.999, 1e-8  # constants of Adam

_log = logging.getLogger("skiploop")


@dataclass(frozen=True)
class ScalesAsked:
    """What decides which programs are learned.

    Attributes:
        model: `LayerStack.model_id` of the frozen model.
        n_programs: How many.
        first_layer: Layers before this one are not scaled.
        questions: How many questions teach, and which.
    """

    model: str
    n_programs: int
    first_layer: int
    questions: str


def learn_scales(
    stack: LayerStack,
    task: Task,
    examples: Sequence[Example],
    n_programs: int,
    first_layer: int,
    folder: Path,
) -> list[Program]:
    """Return programs that scale layers, learned on some questions.

    Args:
        stack: The frozen model.
        task: Says how right answers are written.
        examples: They teach, `BATCH` a step, over and over again.
        n_programs: How many, at least 1.
        first_layer: Layers before this one are not scaled.
        folder: Keeps what was learned so far: a learning that was interrupted goes on.

    Raises:
        DataError: There are no questions, or the task does not know how right answers are written.

    Guarantees:
        Interrupted and continued, it returns what an uninterrupted one does
        (tests/model/test_menu_scales.py).

    Cost:
        64 steps of `BATCH` questions: three passes of the model over prompt and answer each, and
        one more for each program from the 25th step on.
    """
    known = [one for one in examples if right_answer(task, one) is not None]
    if not known:
        raise DataError(
            f"no questions of {task.name} are left to learn scales from: it needs some beyond "
            "--limit whose right answers can be written"
        )
    questions = f"{len(known)} of {task.name}, from {known[0].id} to {known[-1].id}"
    asked = ScalesAsked(stack.model_id, n_programs, first_layer, questions)
    learning = _Learning(stack, task, known, asked, folder / SCALES_FILE)
    return [scaled_program(scales_L) for scales_L in learning.run().round(DIGITS).tolist()]


class _Learning:
    """Scales as they are learned; every step is kept in a file."""

    def __init__(
        self,
        stack: LayerStack,
        task: Task,
        examples: Sequence[Example],
        asked: ScalesAsked,
        path: Path,
    ) -> None:
        self._stack = stack
        self._prompts = [task.prompt(example) for example in examples]
        self._answers = [right_answer(task, example) or "" for example in examples]
        self._asked = asked
        self._path = path

    def run(self) -> np.ndarray:
        """Return scales_KL."""
        n_steps = STEPS_FOR_ALL + STEPS_APART
        step, ascent = self._start()
        while step < n_steps:
            if step == STEPS_FOR_ALL:
                ascent = self._apart(ascent.scales_KL)
            mean = self._step(step, ascent)
            step += 1
            self._save(step, ascent)
            _log.info("menu: scales, step %d of %d, mean sqrt(p) %.3f", step, n_steps, mean)
        return ascent.scales_KL

    def _apart(self, scales_1L: np.ndarray) -> Ascent:
        """Return programs that start near one, each a little elsewhere."""
        shape = self._asked.n_programs, scales_1L.shape[1]
        moved_KL = scales_1L + APART * np.random.default_rng(0).standard_normal(shape)
        moved_KL[:, : self._asked.first_layer] = 1
        moved_KL[0] = scales_1L[0]
        return Ascent(moved_KL)

    def _step(self, step: int, ascent: Ascent) -> float:
        """Take one step; return the mean of what grows, over its questions."""
        rows = [(step * BATCH + n) % len(self._prompts) for n in range(BATCH)]
        prompts, answers = [self._prompts[r] for r in rows], [self._answers[r] for r in rows]
        best_Q = self._best(prompts, answers, ascent.scales_KL)
        total, gradient_KL = 0.0, np.zeros(ascent.scales_KL.shape)
        for number in np.unique(best_Q):
            some = np.flatnonzero(best_Q == number)
            root, gradient_KL[number] = root_slopes(
                self._stack,
                [prompts[row] for row in some],
                [answers[row] for row in some],
                ascent.scales_KL[number],
            )
            total += root
        gradient_KL[:, : self._asked.first_layer] = 0
        ascent.climb(np.nan_to_num(gradient_KL / BATCH))
        return total / BATCH

    def _best(
        self, prompts: Sequence[str], answers: Sequence[str], scales_KL: np.ndarray
    ) -> np.ndarray:
        """Return for each question the program under which its right answer is likeliest."""
        if len(scales_KL) == 1:
            return np.zeros(len(prompts), dtype=np.int64)
        programs = [scaled_program(scales_L) for scales_L in scales_KL.tolist()]
        logprobs = self._stack.loglikelihood(
            [prompt for prompt in prompts for _ in programs],
            [answer for answer in answers for _ in programs],
            programs * len(prompts),
        )
        logprob_QK = np.array(logprobs).reshape(len(prompts), len(programs))
        best_Q: np.ndarray = np.nan_to_num(logprob_QK, nan=-np.inf).argmax(1)
        return best_Q

    def _start(self) -> tuple[int, Ascent]:
        """Return how many steps are done, and where they led."""
        if self._path.exists():
            kept: dict[str, Any] = read_json(self._path)
            if kept["asked"] == to_dict(self._asked):
                return kept["step"], Ascent.from_json(kept["ascent"])
        return 0, Ascent(np.ones((1, self._stack.n_layers)))

    def _save(self, step: int, ascent: Ascent) -> None:
        kept = {"asked": to_dict(self._asked), "step": step, "ascent": ascent.to_json()}
        write_json(self._path, kept)


class Ascent:
    """Scales that climb, by Adam (arXiv 1412.6980).

    Attributes:
        scales_KL: Where they have come to.
    """

    def __init__(
        self,
        scales_KL: np.ndarray,
        mean_KL: np.ndarray | None = None,
        square_KL: np.ndarray | None = None,
        n_steps: int = 0,
    ) -> None:
        self.scales_KL = scales_KL
        self._mean_KL = np.zeros(scales_KL.shape) if mean_KL is None else mean_KL
        self._square_KL = np.zeros(scales_KL.shape) if square_KL is None else square_KL
        self._n_steps = n_steps

    def climb(self, gradient_KL: np.ndarray) -> None:
        """Take one step uphill."""
        self._n_steps += 1
        self._mean_KL = _MEAN * self._mean_KL + (1 - _MEAN) * gradient_KL
        self._square_KL = _SQUARE * self._square_KL + (1 - _SQUARE) * gradient_KL**2
        mean_KL = self._mean_KL / (1 - _MEAN**self._n_steps)
        deviation_KL = np.sqrt(self._square_KL / (1 - _SQUARE**self._n_steps))
        step_KL = RATE * mean_KL / (deviation_KL + _TINY)
        self.scales_KL = np.clip(self.scales_KL + step_KL, 0, LARGEST)

    def to_json(self) -> dict[str, object]:
        """Return all that goes on; the inverse of `from_json`."""
        return {
            "scales": self.scales_KL.tolist(),
            "mean": self._mean_KL.tolist(),
            "square": self._square_KL.tolist(),
            "n_steps": self._n_steps,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return what `to_json` wrote."""
        scales_KL, mean_KL, square_KL = (
            np.array(data[name]) for name in ("scales", "mean", "square")
        )
        return cls(scales_KL, mean_KL, square_KL, data["n_steps"])
