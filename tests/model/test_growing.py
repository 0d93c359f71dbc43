"""Answers are told while they are written."""

import itertools

import skiploop
from skiploop.programs.program import Program
from skiploop.tasks.asked import AskedTask
from skiploop.trials.evaluator import Evaluator


def test_what_is_told_only_grows_and_ends_as_the_answer(llama_folder):
    stack = skiploop.load(llama_folder)
    identity = Program.identity(stack.n_layers)
    plain = AskedTask("2 + 3 =", max_new_tokens=12)
    (whole,) = Evaluator(stack, plain).answer_pairs([(plain.asked, identity)])
    for stop in ((), (whole.text[3:5],), (whole.text[-2:],)):
        told = []
        task = AskedTask("2 + 3 =", max_new_tokens=12, stop=stop)
        evaluator = Evaluator(
            stack, task, told=lambda row, text, told=told: told.append((row, text))
        )
        (trial,) = evaluator.answer_pairs([(task.asked, identity)])
        assert told[-1] == (0, trial.text) and len(told) == trial.n_tokens
        texts = [text for _, text in told]
        assert all(after.startswith(before) for before, after in itertools.pairwise(texts))
