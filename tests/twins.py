"""Two answerers that are equally good, on questions of which many have twins."""

import numpy as np

from skiploop.stats import SIGNIFICANCE, Paired


def false_calls(*, n_runs, n_groups, likeness, seed):
    """Return how often a difference is called, with groups and with each question on its own.

    Groups have one to six questions. A share `likeness` of them is decided as the first one of
    their group is, the others on their own.
    """
    rng = np.random.default_rng(seed)
    called = np.zeros(2)
    for _ in range(n_runs):
        groups = np.repeat(np.arange(n_groups), rng.integers(1, 7, n_groups))
        of_group, own = rng.random((2, n_groups)) < 0.4, rng.random((2, len(groups))) < 0.4
        verdicts = np.where(rng.random(len(groups)) < likeness, of_group[:, groups], own)
        pairs = list(zip(*verdicts.tolist(), strict=True))
        called += [
            Paired.of(pairs, groups.tolist()).p < SIGNIFICANCE,
            Paired.of(pairs).p < SIGNIFICANCE,
        ]
    return called / n_runs
