"""What policies chose, run once and put on record; votes become one record."""

import math

import pytest
from families import N_LAYERS, load
from parity import ParityTask

from skiploop import Program
from skiploop.evaluation.answering import answer
from skiploop.policies.base import FixedPolicy
from skiploop.policies.self_consistency import SelfConsistency
from skiploop.policies.vote import Ballot, VotePolicy, alike, by_probability, count
from skiploop.trials.runner import TrialRunner
from skiploop.trials.store import TrialStore

PROGRAMS = [Program.parse(text, N_LAYERS) for text in ("identity", "3:4x2", "3:4x0", "2:4x2")]
FIXED = FixedPolicy(PROGRAMS, "fixed")


@pytest.fixture
def runner(tmp_path):
    return TrialRunner(load("llama"), ParityTask(), TrialStore(tmp_path / "trials.sqlite"))


def records_of(runner, policies, n_examples=8):
    examples = runner.task.examples("test", n_examples)
    prompts = [runner.task.prompt(example) for example in examples]
    ranked = {policy.name: policy.rank(prompts, 4) for policy in policies}
    return examples, answer(runner, examples, policies, ranked)


def test_every_ranked_program_gets_a_record_and_every_pair_runs_once(runner):
    copy = FixedPolicy(PROGRAMS[:2], "copy")
    examples, records = records_of(runner, [FIXED, copy])
    assert [(r.policy, r.rank) for r in records[:4]] == [("fixed", rank) for rank in range(4)]
    assert [r.program for r in records[-2:]] == PROGRAMS[:2]
    assert runner.task.n_graded == len(examples) * 4
    assert {r.extra_passes for r in records} == {0}
    trials = runner.answer_pairs(
        [(example, program) for example in examples for program in PROGRAMS]
    )
    sure = [r.confidence for r in records if r.policy == "fixed"]
    assert sure == [math.exp(trial.logprob) for trial in trials]


def by_program(prompts, programs, logprobs):
    """Only answers of longer programs count."""
    assert len(prompts) == len(programs) == len(logprobs)
    return [[float(program.n_slots > N_LAYERS) / 2 for program in found] for found in programs]


@pytest.mark.parametrize("weigh", [by_probability, alike, by_program])
def test_a_vote_puts_its_winner_first_with_the_cost_of_all_that_were_asked(runner, weigh):
    policy = VotePolicy(FIXED, 4, weigh=weigh, name="vote:4")
    examples, records = records_of(runner, [policy])
    assert [(r.example_id, r.rank) for r in records] == [
        (e.id, rank) for e in examples for rank in range(4)
    ]
    for index, example in enumerate(examples):
        record, *others = records[4 * index : 4 * index + 4]
        assert {r.program for r in (record, *others)} == set(PROGRAMS)
        assert {r.extra_passes for r in others} == {0}
        trials = runner.answer_pairs([(example, program) for program in PROGRAMS])
        (weights,) = weigh(["?"], [PROGRAMS], [[trial.logprob for trial in trials]])
        outcome = count([Ballot(t.answer, one) for t, one in zip(trials, weights, strict=True)])
        assert record.text == trials[outcome.winner].text
        assert record.correct is trials[outcome.winner].correct
        assert record.confidence == outcome.confidence
        assert {r.confidence for r in others} <= {math.exp(trial.logprob) for trial in trials}
        asked = [program.path for program in PROGRAMS[: outcome.n_asked]]
        beginnings = {path[:n] for path in asked for n in range(1, len(path) + 1)}
        assert record.n_slots + record.extra_passes == len(beginnings)


def test_as_many_programs_vote_as_the_name_says():
    vote = VotePolicy(FIXED, 3, weigh=alike, name="vote:3")
    assert vote.rank(["a", "b"], 9) == [PROGRAMS[:3]] * 2


def test_self_consistency_draws_the_same_answers_again_and_takes_the_most_frequent(runner):
    policy = SelfConsistency(N_LAYERS, 5, seed=1, name="sample:5")
    examples, records = records_of(runner, [policy])
    samples = policy.sample(runner, examples)
    assert any(len({c.text for c, _ in answers}) > 1 for answers in samples)
    for record, answers in zip(records[::5], samples, strict=True):
        texts = [completion.text for completion, _ in answers]
        assert record.rank == 0
        assert texts.count(record.text) == max(map(texts.count, texts))
        assert record.confidence == texts.count(record.text) / 5
        assert (record.program.is_identity, record.extra_passes) == (True, 0)
    ((*alone,),) = policy.sample(runner, examples[3:4])
    together = samples[3]
    assert [c.token_ids for c, _ in alone] == [c.token_ids for c, _ in together]
    assert [grade for _, grade in alone] == [grade for _, grade in together]
