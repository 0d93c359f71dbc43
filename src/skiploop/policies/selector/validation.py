"""Whether a choice is shown to help, judged by choices that knew only questions before them.

The questions come in random order, in parts. The choices for a part follow from the parts before
it: ridge, gate and regression alike. So what a question gains has an expectation of at most 0,
whatever came before it, where choosing cannot help: the gains are steps of a fair game, and the
sign-flip test keeps its level. Folds that judge each other do not give that: what is chosen in
one depends on the verdicts of the others, so their gains go together, and chance spreads wider
than the test assumes.

A plain model may write words that are never right: then any program that says Yes gains. So a
choice must gain more than an answer would that is given whatever is asked in place of such words.

Shapes: the letters of learning (docs/reference/shapes.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from skiploop.policies.selector.data import NOT_JUDGED, Answers
from skiploop.policies.selector.folds import deal
from skiploop.policies.selector.learning import SelectorConfig, choose
from skiploop.seeds import derive_seed
from skiploop.stats import SIGNIFICANCE, Mean, Paired

N_PARTS = 5
"""Parts of the questions; the first one only teaches."""

N_FLIPS = 20_000


@dataclass(frozen=True)
class Validation:
    """A choice against the identity.

    Attributes:
        paired: Verdicts on the choice (first) and on the identity (second).
        gain: Difference of the shares of right answers, -1..1, in which all right answers of a
            category count alike: another favourite answer is no gain.
        p: Probability of such a gain, or loss, if each group of questions were as likely to be
            decided the other way round (sign-flip test, see `sign_flip_exact`).
        n_taught: Questions that were only learned from.
        beyond: Mean gain of programs other than the identity, in the same weights, less what an
            answer that is given whatever is asked would gain there; None without such a choice.
    """

    paired: Paired
    gain: float
    p: float
    n_taught: int
    beyond: Mean | None

    @property
    def is_shown_to_help(self) -> bool:
        """Whether both gains are significant: over the identity, and beyond a blind answer's."""
        gains = [(self.gain, self.p), (self.beyond.value, self.beyond.p)] if self.beyond else []
        return bool(gains) and all(gain > 0 and p < SIGNIFICANCE for gain, p in gains)

    def figures(self) -> dict[str, object]:
        """Return all numbers by name."""
        return {
            **self.paired.figures(),
            "balanced_gain": self.gain,
            "balanced_p": self.p,
            "n_taught": self.n_taught,
            "beyond_blind": self.beyond,
        }


def choose_in_turn(
    known: Answers, unseen_UF: Tensor, slots_P: Tensor, config: SelectorConfig, n_raced: int
) -> Tensor:
    """Return the column chosen for each question by what earlier parts teach, or `NOT_JUDGED`.

    Args:
        known: What there is to learn from.
        unseen_UF: As for `fit_categories`.
        slots_P: Layer passes of each program.
        config: How to learn.
        n_raced: So many first questions chose the programs, for what they answered: they only
            teach.
    """
    part_Q = deal(known.group_Q, N_PARTS, derive_seed(config.seed, "validation"))
    part_Q[torch.isin(known.group_Q, known.group_Q[:n_raced])] = 0
    chosen_Q = torch.full_like(part_Q, NOT_JUDGED)
    for part in range(1, N_PARTS):
        now_Q = part_Q == part
        if now_Q.any():
            past = known.of(part_Q < part)
            chosen_Q[now_Q] = choose(known.features_QF[now_Q], past, unseen_UF, slots_P, config)
    return chosen_Q


def validate(
    chosen_Q: Tensor, right_QP: Tensor, weight_Q: Tensor, group_Q: Tensor, blind_Q: Tensor
) -> Validation:
    """Judge some choices against the identity, and against answers that know no question.

    Args:
        chosen_Q: From `choose_in_turn`.
        right_QP: 1 where an answer is right, NaN where it could not be graded.
        weight_Q: How much each question counts.
        group_Q: Equal numbers for questions that are one.
        blind_Q: What an answer that is given whatever is asked is worth in the identity's place.
    """
    first_Q, second_Q = right_QP.gather(1, chosen_Q.clamp_min(0)[:, None])[:, 0], right_QP[:, 0]
    judged_Q = chosen_Q != NOT_JUDGED
    known_Q = judged_Q & ~(first_Q.isnan() | second_Q.isnan())
    first_Q, second_Q, weight_Q = first_Q[known_Q], second_Q[known_Q], weight_Q[known_Q]
    group_Q = group_Q[known_Q]
    gained_Q = (weight_Q * (first_Q - second_Q)).double()
    beyond_Q = gained_Q - weight_Q * blind_Q[known_Q]
    gained_G = torch.zeros(len(right_QP), dtype=torch.double).index_add_(0, group_Q, gained_Q)
    pairs = zip((first_Q == 1).tolist(), (second_Q == 1).tolist(), strict=True)
    return Validation(
        Paired.of(pairs, group_Q.tolist()),
        float(gained_Q.sum() / max(float(weight_Q.sum()), 1e-9)),
        _sign_flip_p(gained_G[gained_G != 0]),
        int((~judged_Q).sum()),
        _mean(beyond_Q, weight_Q, group_Q, chosen_Q[known_Q] != 0),
    )


def _mean(gained_Q: Tensor, weight_Q: Tensor, group_Q: Tensor, some_Q: Tensor) -> Mean | None:
    """Return the weighted mean of some gains."""
    if not some_Q.any():
        return None
    gained_Q = gained_Q[some_Q] / weight_Q[some_Q].mean()
    return Mean.of(gained_Q.tolist(), group_Q[some_Q].tolist())


def _sign_flip_p(gained_G: Tensor) -> float:
    """Return the share of random signs under which the sum is as far from 0."""
    generator = torch.Generator().manual_seed(0)
    n_as_far = 0
    for _ in range(N_FLIPS // 1000):
        signs = torch.randint(0, 2, (1000, len(gained_G)), generator=generator).double() * 2 - 1
        n_as_far += int(((signs @ gained_G).abs() >= gained_G.sum().abs() - 1e-9).sum())
    return (1 + n_as_far) / (1 + N_FLIPS)
