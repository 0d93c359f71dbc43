"""The choice from some programs of a table, made as the selector makes it, judged out of fold."""

from dataclasses import fields

import torch

from skiploop.policies.selector.data import Answers
from skiploop.policies.selector.folds import deal
from skiploop.policies.selector.learning import SelectorConfig, choose
from skiploop.stats import Paired

N_FOLDS = 5


def some_programs(known, columns):
    """Return the answers of some programs."""
    found = {field.name: vars(known)[field.name] for field in fields(Answers)}
    for name in ("score_QP", "right_QP"):
        found[name] = found[name][:, columns]
    return Answers(**found)


def picked(known, unseen_UF, slots_P, seed, columns_of):
    """Return the column chosen for each question; `columns_of` other folds says from which."""
    fold_Q = deal(known.group_Q, N_FOLDS, 100 + seed)
    picked_Q = torch.zeros_like(fold_Q)
    for fold in range(N_FOLDS):
        held = fold_Q == fold
        seen = known.of(~held)
        columns = columns_of(seen)
        inside = choose(
            known.features_QF[held],
            some_programs(seen, columns),
            unseen_UF,
            slots_P[columns],
            SelectorConfig(seed=seed),
        )
        picked_Q[held] = torch.tensor(columns)[inside]
    return picked_Q


def over(known, right_Q, other_Q):
    """Return how many questions only one and only another choice has right, and the p of that."""
    pairs = zip(right_Q.tolist(), other_Q.tolist(), strict=True)
    found = Paired.of(pairs, known.group_Q.tolist())
    return f"{found.only_first} / {found.only_second} (p {found.p:.2g})"
