"""Answers of methods that no program describes are kept on the way, and asked for once."""

import pytest
from families import N_LAYERS, load
from parity import ParityTask

from skiploop.errors import DataError
from skiploop.evaluation import answering
from skiploop.evaluation.answering import answer_all
from skiploop.evaluation.kept_answers import KeptAnswers
from skiploop.policies.early_exit.method import EarlyExit
from skiploop.policies.sampled import Sampled
from skiploop.policies.self_consistency import SelfConsistency
from skiploop.trials.evaluator import Evaluator


class Asked(Sampled):
    """Tells how many questions it was asked, and stops before there are too many."""

    def __init__(self, most=100, seed=1):
        super().__init__(N_LAYERS, 0.7, seed=seed, name="sampled")
        self.n_asked, self._most = 0, most

    def answer_with(self, examples, chosen, evaluator):
        if self.n_asked + len(examples) > self._most:
            raise KeyboardInterrupt
        self.n_asked += len(examples)
        return super().answer_with(examples, chosen, evaluator)


class Nameless(Asked):
    fingerprint = None


@pytest.fixture
def evaluator():
    return Evaluator(load("llama"), ParityTask())


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(answering, "ANSWERED_TOGETHER", 3)


def test_after_an_interruption_only_the_rest_is_asked(evaluator, tmp_path, few):
    examples = evaluator.task.examples("test", 8)
    kept = KeptAnswers(tmp_path / "answers", "model")
    whole = answer_all([Asked()], examples, evaluator)
    with pytest.raises(KeyboardInterrupt):
        answer_all([Asked(most=6)], examples, evaluator, kept=kept)
    again = Asked()
    assert answer_all([again], examples, evaluator, kept=kept) == whole
    assert again.n_asked == 2
    assert answer_all([Asked(most=0)], examples[::-1], evaluator, kept=kept) == whole[::-1]


def test_another_setting_another_model_and_a_method_that_cannot_tell_are_asked(evaluator, tmp_path):
    examples = evaluator.task.examples("test", 4)
    kept = KeptAnswers(tmp_path, "model")
    for method, where in (
        (Asked(), kept),
        (Asked(seed=2), kept),
        (Asked(), KeptAnswers(tmp_path, "another")),
        (Nameless(), kept),
        (Nameless(), kept),
    ):
        answer_all([method], examples, evaluator, kept=where)
        assert method.n_asked == 4
    assert len(list(tmp_path.iterdir())) == 3


def test_what_answers_depend_on_tells_methods_apart(evaluator):
    stack = evaluator.stack
    methods = [
        *(Sampled(N_LAYERS, t, seed=s, name="") for t, s in ((0.3, 1), (0.7, 1), (0.7, 2))),
        *(SelfConsistency(N_LAYERS, n, seed=s, name="") for n, s in ((3, 1), (5, 1), (5, 2))),
        *(EarlyExit(stack, [2, 4], sure, name="") for sure in ([0.5, 0.6], [0.5, 0.7])),
        EarlyExit(stack, [2, 5], [0.5, 0.6], name=""),
    ]
    known_by = [method.fingerprint for method in methods]
    assert len(set(known_by)) == len(known_by)


def test_a_damaged_file_is_named(evaluator, tmp_path):
    examples = evaluator.task.examples("test", 2)
    kept = KeptAnswers(tmp_path, "model")
    answer_all([Asked()], examples, evaluator, kept=kept)
    (path,) = tmp_path.iterdir()
    path.write_text(path.read_text()[:-10])
    with pytest.raises(DataError, match=f"{path.name}, line 2"):
        answer_all([Asked()], examples, evaluator, kept=kept)
