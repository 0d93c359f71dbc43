"""What a selector was made from, in one file from which it is made again.

Shapes: the letters of learning (docs/reference/shapes.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from skiploop.errors import RunError, one_line
from skiploop.policies.tensors import read_tensors, write_tensors

_ROUNDING = 1e-3  # by which a probability may be above 1

NOT_JUDGED = -1
"""Takes the place of a chosen program where a question was only learned from."""


@dataclass(frozen=True)
class Answers:
    """What all programs answered to some questions.

    Attributes:
        features_QF: Of the questions.
        score_QP: What each program did on each, see `ScoreTable.worth_QP`.
        right_QP: 1 for a right answer, 0 for a wrong one, NaN for one that could not be graded.
        weight_Q: How much each question counts.
        group_Q: Equal numbers for questions that are one, see `Example.group`.
        blind_Q: What an answer that is given whatever is asked is worth in place of the identity's,
            see `ScoreTable.balanced_among`.
        category_Q: Equal numbers for questions of one category.
    """

    features_QF: Tensor
    score_QP: Tensor
    right_QP: Tensor
    weight_Q: Tensor
    group_Q: Tensor
    blind_Q: Tensor
    category_Q: Tensor

    def of(self, some_Q: Tensor) -> Answers:
        """Return those to the questions for which a mask is true."""
        return Answers(*(vars(self)[field.name][some_Q] for field in fields(Answers)))


@dataclass(frozen=True)
class SelectorData(Answers):
    """What a selector was made from.

    Attributes:
        predicted_QP: Score that was expected from questions of other groups.
        chosen_Q: Column of the program that was chosen by what questions before it taught, or
            `NOT_JUDGED`.
        distance_Q: From the nearest category as other folds know them, see `KnownCategories`.
        unseen_UF: Features of questions that are as new as those that will be asked, without
            answers; there may be none.
        ridge: Strength of shrinking.
    """

    predicted_QP: Tensor
    chosen_Q: Tensor
    distance_Q: Tensor
    unseen_UF: Tensor
    ridge: float

    def save(self, path: Path) -> None:
        """Write all of it into a safetensors file."""
        ridge = torch.tensor(self.ridge, dtype=torch.float64)
        write_tensors(path, {**vars(self), "ridge": ridge})

    @classmethod
    def load(cls, path: Path) -> SelectorData:
        """Read what `save` wrote.

        Raises:
            RunError: The file is missing or damaged, of an older version, or holds other numbers.
        """
        tensors, _ = read_tensors(path)
        if not {"chosen_Q", "group_Q", "blind_Q", "unseen_UF"} <= set(tensors):
            raise RunError(f"{path} is of an older version, which did not judge choices as now")
        try:
            data = cls(ridge=float(tensors.pop("ridge")), **tensors)
        except (KeyError, TypeError, RuntimeError) as error:
            raise RunError(f"{path} holds other tensors: {one_line(error)}") from error
        if not data._are_sound():
            raise RunError(f"{path} is damaged: it holds numbers that no training writes")
        return data

    def _are_sound(self) -> bool:
        """Whether shapes fit, and all numbers are in their ranges."""
        n_questions, n_programs = self.score_QP.shape if self.score_QP.dim() == 2 else (0, 0)
        shapes = [tuple(t.shape) for t in (self.right_QP, self.predicted_QP)]
        numbers = (self.group_Q, self.chosen_Q, self.category_Q)
        by_question = (self.weight_Q, self.blind_Q, self.distance_Q, *numbers)
        lengths = [tuple(t.shape) for t in by_question]
        known = (
            self.features_QF,
            self.score_QP,
            self.weight_Q,
            self.predicted_QP,
            self.distance_Q,
            self.unseen_UF,
        )
        return (
            n_questions > 0
            and shapes == [(n_questions, n_programs)] * 2
            and lengths == [(n_questions,)] * 6
            and self.features_QF.dim() == self.unseen_UF.dim() == 2
            and self.features_QF.shape[1] == self.unseen_UF.shape[1]
            and all(t.dtype == torch.int64 for t in numbers)
            and all(
                bool(((t >= 0) & (t < n_questions)).all()) for t in (self.group_Q, self.category_Q)
            )
            and len(self.features_QF) == n_questions
            and all(bool(t.isfinite().all()) for t in known)
            and bool(((self.score_QP >= 0) & (self.score_QP <= 1 + _ROUNDING)).all())
            and bool((self.weight_Q >= 0).all() and self.weight_Q.any())
            and bool((self.distance_Q >= 0).all())
            and bool(((self.blind_Q >= 0) & (self.blind_Q <= 1)).all())
            and set(self.right_QP[~self.right_QP.isnan()].tolist()) <= {0.0, 1.0}
            and set(self.chosen_Q.tolist()) <= {NOT_JUDGED, *range(n_programs)}
            and 0 < self.ridge < math.inf
        )
