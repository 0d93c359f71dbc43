"""Answers of methods, what each pair costs once, and the records of them."""

import math

import pytest
from families import N_LAYERS, load
from parity import ParityTask
from tallies import Notes

from skiploop import Program
from skiploop.evaluation.answering import answer_all
from skiploop.policies.base import FixedPolicy, Ranked
from skiploop.policies.self_consistency import SelfConsistency
from skiploop.policies.vote import Vote, alike, elect, probability
from skiploop.trials.runner import TrialRunner
from skiploop.trials.store import TrialStore

PROGRAMS = [Program.parse(text, N_LAYERS) for text in ("identity", "3:4x2", "3:4x0", "2:4x2")]
FIXED = FixedPolicy(PROGRAMS, "fixed")


@pytest.fixture
def runner(tmp_path):
    return TrialRunner(load("llama"), ParityTask(), TrialStore(tmp_path / "trials.sqlite"))


def records_of(runner, methods, n_examples=8):
    examples = runner.task.examples("test", n_examples)
    return examples, answer_all(methods, examples, runner)


def test_every_ranked_program_gets_a_record_and_every_pair_runs_once(runner):
    copy = Ranked(FixedPolicy(PROGRAMS[:2], "copy"), 2)
    examples, records = records_of(runner, [Ranked(FIXED, 4), copy])
    assert [(r.policy, r.rank) for r in records[:4]] == [("fixed", rank) for rank in range(4)]
    assert [r.program for r in records[-2:]] == PROGRAMS[:2]
    assert runner.task.n_graded == len(examples) * 4
    assert {r.extra_passes for r in records} == {0}
    trials = runner.answer_pairs(
        [(example, program) for example in examples for program in PROGRAMS]
    )
    sure = [r.confidence for r in records if r.policy == "fixed"]
    assert sure == [math.exp(trial.logprob) for trial in trials]


def by_likelihood(logprob):
    """Only answers that are not too unlikely count."""
    return float(logprob > -5) / 2


@pytest.mark.parametrize("weigh", [probability, alike, by_likelihood])
def test_a_vote_puts_its_winner_first_with_the_cost_of_all_that_were_asked(runner, weigh):
    examples, records = records_of(runner, [Vote(FIXED, 4, weigh=weigh, name="vote:4")])
    assert [(r.example_id, r.rank) for r in records] == [
        (e.id, rank) for e in examples for rank in range(4)
    ]
    for index, example in enumerate(examples):
        record, *others = records[4 * index : 4 * index + 4]
        assert {r.program for r in (record, *others)} == set(PROGRAMS)
        assert {r.extra_passes for r in others} == {0}
        trials = runner.answer_pairs([(example, program) for program in PROGRAMS])
        weights = [weigh(trial.logprob) for trial in trials]
        outcome = elect([t.answer for t in trials], [t.text for t in trials], weights)
        assert record.text == trials[outcome.winner].text
        assert record.correct is trials[outcome.winner].correct
        assert record.confidence == outcome.confidence
        assert {r.confidence for r in others} <= {math.exp(trial.logprob) for trial in trials}
        asked = [program.path for program in PROGRAMS[: outcome.n_asked]]
        beginnings = {path[:n] for path in asked for n in range(1, len(path) + 1)}
        assert record.n_slots + record.extra_passes == len(beginnings)
        own = {
            p: runner.kv_bytes(example, p, t.n_tokens)
            for p, t in zip(PROGRAMS, trials, strict=True)
        }
        assert record.kv_bytes == sum(own[p] for p in PROGRAMS[: outcome.n_asked])
        assert [r.kv_bytes for r in others] == [own[r.program] for r in others]


def test_as_many_programs_vote_as_the_name_says():
    vote = Vote(FIXED, 3, weigh=alike, name="vote:3")
    assert vote.choose(["a", "b"]) == [PROGRAMS[:3]] * 2


def test_a_method_answers_alone_as_beside_others_and_tells_what_choosing_took(runner):
    methods = [
        Ranked(FIXED, 2),
        Vote(FIXED, 4, weigh=probability, name="vote:4"),
        SelfConsistency(N_LAYERS, 3, seed=1, name="sample:3"),
    ]
    examples, records = records_of(runner, methods)
    alone = [
        (method.name, example.id, answer)
        for method in methods
        for example, answers in zip(examples, method.answer(examples, runner), strict=True)
        for answer in answers
    ]
    for (name, example_id, answer), record in zip(alone, records, strict=True):
        assert (name, example_id) == (record.policy, record.example_id)
        assert answer.cost.n_passes == record.n_slots + record.extra_passes
        assert answer.cost.choosing_s >= 0
        for what in ("program", "text", "correct", "n_tokens", "confidence"):
            assert getattr(answer, what) == getattr(record, what)
    assert [method.answer([], runner) for method in methods] == [[], [], []]


def test_how_many_answers_will_come_is_told_once_the_programs_are_chosen(runner):
    told = Notes()
    sample = SelfConsistency(N_LAYERS, 3, seed=1, name="sample:3")
    methods = [Ranked(FIXED, 2), Vote(FIXED, 3, weigh=alike, name="vote:3"), sample]
    answer_all(methods, runner.task.examples("test", 5), runner, told)
    assert told.n_expected == 5 * 3 + 5 and told.n_others == 5
    assert runner.task.n_graded == 5 * 3 + 5 * 3


class Doubter(Ranked):
    """Asks another program where the first one is wrong."""

    def answer_with(self, examples, chosen, evaluator):
        first = super().answer_with(examples, chosen, evaluator)
        other = super().answer_with(examples, [[PROGRAMS[1]]] * len(examples), evaluator)
        return [a if a[0].correct else b for a, b in zip(first, other, strict=True)]


def test_a_method_may_ask_for_more_than_it_chose(runner):
    examples, records = records_of(runner, [Doubter(FIXED)])
    assert {r.program for r in records} == set(PROGRAMS[:2])
    assert runner.task.n_graded == 2 * len(examples)


def test_self_consistency_draws_the_same_answers_again_and_takes_the_most_frequent(runner):
    method = SelfConsistency(N_LAYERS, 5, seed=1, name="sample:5")
    examples, records = records_of(runner, [method])
    samples = [[r.text for r in records if r.example_id == example.id] for example in examples]
    assert any(len(set(texts)) > 1 for texts in samples)
    for record, texts in zip(records[::5], samples, strict=True):
        assert record.rank == 0
        assert texts.count(record.text) == max(map(texts.count, texts))
        assert record.confidence == texts.count(record.text) / 5
        assert (record.program.is_identity, record.extra_passes) == (True, 0)
    (alone,) = method.answer(examples[3:4], runner)
    together = [r for r in records if r.example_id == examples[3].id]
    assert [(a.text, a.n_tokens, a.correct) for a in alone] == [
        (r.text, r.n_tokens, r.correct) for r in together
    ]
    assert method.choose(["a", "b"]) == [[], []]
