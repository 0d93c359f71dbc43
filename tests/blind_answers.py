"""Invented tables of a plain model that is never right, and of programs that write one answer each.

Such programs know nothing of a question, and yet they are right more often than the model.
"""

import numpy as np
import torch

from favourites import drawn, examples_of
from skiploop import Program
from skiploop.search.evidence import Evidence, balanced

PROGRAMS = tuple(Program.parse(text, 6) for text in ("identity", "2:3x0", "3:4x0", "4:5x0"))


def table(n_questions, seed, n_golds, skill=0.0):
    """Return features, which are noise, and evidence.

    Args:
        n_questions: How many.
        seed: Decides all that is drawn.
        n_golds: Different right answers, the first ones the most common.
        skill: Share of questions that every program but the identity answers by knowing.
    """
    rng = np.random.default_rng([seed, n_questions, n_golds])
    golds = np.array(drawn(rng, n_questions, n_golds))
    said = np.array([""] + [str(i % n_golds) for i in range(len(PROGRAMS) - 1)])
    knows = rng.random((n_questions, len(PROGRAMS))) < np.array([0, *[skill] * (len(said) - 1)])
    right = ((golds[:, None] == said) | knows).astype(float)
    examples = examples_of(golds.tolist())
    evidence = Evidence(
        tuple(example.id for example in examples),
        PROGRAMS,
        right,
        right,
        balanced(examples),
        tuple((example.kind, example.answer_key) for example in examples),
    )
    return torch.from_numpy(rng.normal(size=(n_questions, 8))).float(), evidence
