"""A method that runs the model in a way of its own, as the docstring of `Method` asks."""

import math

import pytest
import torch
from families import N_LAYERS, load
from parity import ParityTask

from skiploop import Program
from skiploop.engine.batching.encoding import encode
from skiploop.evaluation.answering import answer_all
from skiploop.evaluation.policy_table import policy_rows
from skiploop.evaluation.records import read_records, write_records
from skiploop.policies.base import Answer, Cost, IdentityPolicy, Method, Ranked
from skiploop.trials.evaluator import Evaluator
from skiploop.trials.runner import TrialRunner
from skiploop.trials.store import TrialStore


class SkipTokens(Method):
    """Skips one layer for some tokens, which no program can say."""

    def __init__(self, layer, every):
        self.layer, self.every, self.name = layer, every, f"skip-every:{every}"

    def answer_with(self, examples, chosen, evaluator):
        hook = evaluator.stack.layers[self.layer].register_forward_hook(self._skip)
        written = [self._write(evaluator, evaluator.prompt(example)) for example in examples]
        hook.remove()
        grades = evaluator.grade_texts(examples, [text for text, _, _ in written])
        program, cost = Program.identity(N_LAYERS), Cost(n_passes=N_LAYERS - 1 / self.every)
        return [
            [Answer(program=program, text=text, correct=grade.correct, n_tokens=len(tokens),
                    confidence=math.exp(logprob), cost=cost)]
            for (text, tokens, logprob), grade in zip(written, grades, strict=True)
        ]  # fmt: skip

    def _skip(self, _, states, output):
        output[:, :: self.every] = states[0][:, :: self.every]

    def _write(self, evaluator, prompt):
        stack, task, written, logprob = evaluator.stack, evaluator.task, [], 0.0
        (tokens,) = encode(stack, [prompt])
        while len(written) < task.max_new_tokens:
            with torch.inference_mode():
                logits = stack.model(torch.tensor([[*tokens, *written]])).logits[0, -1]
            written.append(int(logits.argmax()))
            logprob += float(logits.log_softmax(-1).max())
        return stack.tokenizer.decode(written), written, logprob


class Unstopped(ParityTask):
    """Every answer has all of its tokens."""

    stop = ()


@pytest.fixture
def evaluator():
    return Evaluator(load("llama"), Unstopped())


def test_it_answers_beside_programs_with_verdicts_and_passes_that_are_no_whole_number(
    evaluator, tmp_path
):
    examples = evaluator.task.examples("test", 5)
    methods = [Ranked(IdentityPolicy(N_LAYERS)), SkipTokens(2, 3), SkipTokens(2, 10**6)]
    records = answer_all(methods, examples, evaluator)
    plain, some, first_alone = (records[i : i + 5] for i in (0, 5, 10))
    assert [record.text for record in some] != [record.text for record in plain]
    for record in some:
        example = examples[int(record.example_id.removeprefix("test-"))]
        assert record.correct is evaluator.task.grade(example, record.text).correct
        assert record.n_slots + record.extra_passes == pytest.approx(N_LAYERS - 1 / 3)
    assert all(record.n_tokens == evaluator.task.max_new_tokens for record in first_alone)
    write_records(tmp_path / "records.jsonl", records)
    assert read_records(tmp_path / "records.jsonl") == records
    row = next(row for row in policy_rows(records, examples) if row.policy == "skip-every:3")
    assert row.mean_slots == pytest.approx(N_LAYERS - 1 / 3)


def test_without_a_skip_it_writes_what_the_plain_model_writes(evaluator):
    examples = evaluator.task.examples("test", 5)
    method = SkipTokens(2, 1)
    method._skip = lambda *_: None
    pairs = [(example, Program.identity(N_LAYERS)) for example in examples]
    texts = [answer.text for (answer,) in method.answer(examples, evaluator)]
    assert texts == [trial.text for trial in evaluator.answer_pairs(pairs)]


def test_it_answers_the_same_with_and_without_a_store(evaluator, tmp_path):
    runner = TrialRunner(evaluator.stack, evaluator.task, TrialStore(tmp_path / "trials.sqlite"))
    examples, method = evaluator.task.examples("test", 3), SkipTokens(1, 2)
    here, there = ([a.text for (a,) in method.answer(examples, one)] for one in (evaluator, runner))
    assert here == there and len(runner.store) == 0
