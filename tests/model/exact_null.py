"""Invented tables in which it is known what choosing is worth.

They have the structure of a measured table: features tell how hard a question is for the model,
which decides how often all programs are right, and nothing of which program is. So no choice can
gain, until a program is planted that does.
"""

import numpy as np
import torch

from skiploop import Program
from skiploop.policies.selector.data import NOT_JUDGED
from skiploop.policies.selector.learning import SelectorConfig
from skiploop.policies.selector.policy import learn
from skiploop.policies.selector.validation import validate
from skiploop.trials.score_table import ScoreTable

BASE = np.array([0.6, 0.35, 0.15, 0.06, 0.03])
"""Share of right answers at each level."""

N_FEATURES = 12
PROGRAMS = [Program.identity(30)] + [
    Program.parse(f"{4 + i}:{6 + i}x{2 * (i % 2)}", 30) for i in range(11)
]


def table(n_questions, seed, gain=0.0, n_programs=12):
    """Return features and evidence; the second program is right on `gain` more of the questions.

    What is planted lies in the questions of one level, so it can be learned.
    """
    rng = np.random.default_rng(seed)
    level = rng.integers(len(BASE), size=n_questions)
    features = rng.normal(size=(n_questions, N_FEATURES))
    features[:, 1:6] += 3 * np.eye(len(BASE))[level]
    ease = np.log(BASE / (1 - BASE))[level] + rng.normal(size=n_questions)
    features[:, 6] += ease
    logits = ease[:, None] + rng.normal(size=(n_questions, n_programs))
    score = 1 / (1 + np.exp(-logits))
    right = (rng.random(score.shape) < score).astype(float)
    wrong = np.flatnonzero((level == 2) & (right[:, 1] == 0))
    planted = rng.permutation(wrong)[: rng.binomial(n_questions, gain)]
    right[planted, 1], score[planted, 1] = 1.0, rng.uniform(0.3, 0.9, len(planted))
    ids = tuple(map(str, range(n_questions)))
    programs = tuple(PROGRAMS[:n_programs])
    evidence = ScoreTable(ids, programs, right, score, np.ones(n_questions))
    return torch.from_numpy(features).float(), evidence


def shown(n_questions, n_tables, gain=0.0):
    """Return in which of some tables a selector is shown to help, and what it gained in each."""
    found = []
    for seed in range(n_tables):
        data = learn(*table(n_questions, seed, gain), SelectorConfig(seed=seed))
        found.append(judgement(data))
    return np.array([one.is_shown_to_help for one in found]), np.array([one.gain for one in found])


def judgement(of):
    """Return what the choices of some data are worth."""
    return validate(of.chosen_Q, of.right_QP, of.weight_Q, of.group_Q, of.blind_Q)


def judged(data):
    """Return a mask of the questions on which a choice was judged."""
    return data.chosen_Q != NOT_JUDGED
