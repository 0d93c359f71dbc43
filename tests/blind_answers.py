"""Invented tables of a plain model that writes a word that is never right where it does not know.

The programs know no more, but write one right answer or another in its place.
"""

import numpy as np
import torch

from favourites import drawn, examples_of
from skiploop import Program
from skiploop.trials.score_table import ScoreTable, balanced

PROGRAMS = tuple(Program.parse(text, 6) for text in ("identity", "2:3x0", "3:4x0", "4:5x0"))


def table(n_questions, seed, n_golds, skill=0.0, gain=0.0):
    """Return features, which are noise, and evidence.

    Args:
        n_questions: How many.
        seed: Decides all that is drawn.
        n_golds: Different right answers, the first ones the most common.
        skill: Share of questions that each program answers by knowing.
        gain: By how much it is larger for all but the identity.
    """
    rng = np.random.default_rng([seed, n_questions, n_golds])
    golds = np.array(drawn(rng, n_questions, n_golds))
    said = np.array(["The"] + [str(i % n_golds) for i in range(len(PROGRAMS) - 1)])
    skills = skill + gain * (said != "The")
    right = (golds[:, None] == said) | (rng.random((n_questions, len(PROGRAMS))) < skills)
    examples = examples_of(golds.tolist())
    evidence = ScoreTable(
        tuple(example.id for example in examples),
        PROGRAMS,
        right.astype(float),
        right.astype(float),
        balanced(examples),
        tuple((example.category, example.answer_key) for example in examples),
        tuple((~right[:, 0]).tolist()),
    )
    return torch.from_numpy(rng.normal(size=(n_questions, 8))).float(), evidence
