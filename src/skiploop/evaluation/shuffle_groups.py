"""Groups of questions within which answers are shuffled: categories, named or found.

A category is found where texts look alike, and where a run of characters tells which answer is
given: who answers `Yes` to one sort of question and `No` to another has two favourites.

Shapes: N questions of a group, F runs of characters, A answers.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from skiploop.clusters import MIN_SIZE, run_counts, text_clusters
from skiploop.seeds import derive_seed
from skiploop.tasks.base import Example

N_ANSWERS = 8
"""Most common answers of a policy that are told apart."""

MAX_P = 0.01
"""Largest p-value, times the number of runs and policies, at which a run tells categories apart."""


def shuffle_groups(
    examples: Sequence[Example], texts: Mapping[str, Mapping[str, str]]
) -> Iterator[list[Example]]:
    """Yield groups of at least two questions, each in random order.

    Categories are parted where a run tells answers apart, then into clusters of similar texts;
    right answers play no part. Questions that are alone in their category are one category.
    """
    categories: dict[str, list[Example]] = {}
    for example in examples:
        categories.setdefault(example.category, []).append(example)
    alone = [example for found in categories.values() if len(found) == 1 for example in found]
    for category in (*(found for found in categories.values() if len(found) > 1), alone):
        if len(category) > 1:
            for group in _parted(category, texts):
                random.Random(derive_seed("deal", group[0].id)).shuffle(group)
                yield group


def _parted(
    category: Sequence[Example], texts: Mapping[str, Mapping[str, str]]
) -> Iterator[list[Example]]:
    has_run_NF = run_counts([example.question for example in category]) > 0
    waiting = [np.arange(len(category))]
    while waiting:
        some = waiting.pop()
        given = [[by_id[category[i].id] for i in some.tolist()] for by_id in texts.values()]
        has_it_N = _telling_run(has_run_NF[some], given)
        if has_it_N is not None:
            waiting += [some[has_it_N], some[~has_it_N]]
            continue
        labels_N = text_clusters([category[i].question for i in some.tolist()])
        yield from (
            [category[i] for i in some[labels_N == label].tolist()]
            for label in range(labels_N.max() + 1)
        )


def _telling_run(has_run_NF: np.ndarray, texts: Sequence[Sequence[str]]) -> np.ndarray | None:
    """Return which questions have the run that best tells answers apart, None if none does.

    Source:
        Kass 1980, "An exploratory technique for investigating large quantities of categorical
        data" (CHAID): chi-squared tests with Bonferroni's correction.
    """
    from scipy.stats import chi2

    n, n_with_F = len(has_run_NF), has_run_NF.sum(0)
    usable = np.flatnonzero((n_with_F >= MIN_SIZE) & (n - n_with_F >= MIN_SIZE))
    if not len(usable):
        return None
    has_run_NF, n_with_F1 = has_run_NF[:, usable], n_with_F[usable, None]
    best_p, best = MAX_P, None
    for own in texts:
        common = [text for text, _ in Counter(own).most_common(N_ANSWERS)]
        number_of = {text: number for number, text in enumerate(common)}
        is_answer_NA = np.eye(len(common) + 1)[[number_of.get(text, len(common)) for text in own]]
        is_answer_NA = is_answer_NA[:, is_answer_NA.any(0)]
        share_A = is_answer_NA.mean(0)
        off_FA = has_run_NF.T @ is_answer_NA - n_with_F1 * share_A
        distance_F = (off_FA**2 / share_A).sum(1) * n / (n_with_F1 * (n - n_with_F1))[:, 0]
        p = chi2.sf(distance_F.max(), max(len(share_A) - 1, 1)) * len(usable) * len(texts)
        if p < best_p:
            best_p, best = p, has_run_NF[:, distance_F.argmax()]
    return best
