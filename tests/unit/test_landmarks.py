"""A regression on some of the questions, against that on all of them."""

import torch

from skiploop.policies.selector.data import Answers
from skiploop.policies.selector.kernel import KernelRidge
from skiploop.policies.selector.landmarks import fit_landmarks

N = 120


def answers():
    torch.manual_seed(0)
    features = torch.randn(N, 3)
    score = torch.sigmoid(features @ torch.randn(3, 4))
    weight, number, blind = torch.rand(N) + 0.5, torch.arange(N), torch.zeros(N)
    return Answers(features, score, score.round(), weight, number, blind, number % 3)


def mean_error(known, n_landmarks):
    (whole,) = KernelRidge.fit(known.features_QF, known.score_QP, known.weight_Q, (0.1,))
    new = torch.randn(50, 3, generator=torch.Generator().manual_seed(1))
    short = fit_landmarks(known, 0.1, n_landmarks, seed=0)
    return float((short.predict(new) - whole.predict(new)).abs().mean())


def test_with_all_questions_as_landmarks_it_is_the_whole_regression():
    assert mean_error(answers(), N) < 0.01
    assert mean_error(answers(), 10 * N) == mean_error(answers(), N)


def test_more_landmarks_come_closer_to_the_whole_regression():
    known = answers()
    assert mean_error(known, 60) < mean_error(known, 20) < mean_error(known, 5)


def test_questions_that_occur_twice_leave_one_solution():
    known = answers().of(torch.arange(N) % 2 == 0)
    twice = Answers(*(torch.cat([part, part]) for part in vars(known).values()))
    assert fit_landmarks(twice, 0.1, N, seed=0).predict(known.features_QF).isfinite().all()


def test_landmarks_survive_half_precision():
    short = fit_landmarks(answers(), 0.1, 20, seed=0)
    assert torch.equal(short.features_QF, short.features_QF.half().float())
    assert len(short.features_QF) == len(short.weights_QP) == 20


def test_the_same_seed_keeps_the_same_questions():
    known = answers()
    first, second = (fit_landmarks(known, 0.1, 20, seed=3) for _ in range(2))
    assert torch.equal(first.features_QF, second.features_QF)
    other = fit_landmarks(known, 0.1, 20, seed=4)
    assert not torch.equal(first.features_QF, other.features_QF)
