"""Answers in which every token leaves the model at the first exit that is sure enough.

Sources: the exits by confidence are those of CALM (arXiv 2207.07061) and AdaInfer (arXiv
2403.02181), here with the final norm and the head of the frozen model at every exit (logit lens).

Shapes: V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from skiploop.engine.alone import write_by
from skiploop.engine.batching.encoding import encode_pairs
from skiploop.engine.batching.rows import Row, check_lengths
from skiploop.engine.completion import Completion
from skiploop.engine.plan.beginnings import common_length
from skiploop.engine.score import Scored, best_choice
from skiploop.jsontext import digest
from skiploop.policies.alone import graded
from skiploop.policies.base import Answer, Cost, Method
from skiploop.policies.early_exit.executor import ExitRow, check_supported
from skiploop.programs.program import Program
from skiploop.stack import LayerStack
from skiploop.tasks.base import Example, Task
from skiploop.trials.evaluator import Evaluator


class EarlyExit(Method):
    """Answers one question after the other, each token with as few layers as it needs.

    Args:
        stack: The model.
        exits: After how many layers a token may exit, in order.
        thresholds: For each exit, the probability of the likeliest next token from which on it is
            taken; above 1, the exit is not looked at.
        name: Name in tables.

    Raises:
        UnsupportedModelError: The layers of the model cannot wait for tokens.
    """

    def __init__(
        self, stack: LayerStack, exits: Sequence[int], thresholds: Sequence[float], *, name: str
    ) -> None:
        check_supported(stack)
        self.exits = exits
        self.thresholds = thresholds
        self.name = name

    @property
    def fingerprint(self) -> str:
        """See `Method`."""
        return digest([[*self.exits], [*self.thresholds]])

    def answer_with(
        self,
        examples: Sequence[Example],
        chosen: Sequence[Sequence[Program]],
        evaluator: Evaluator,
    ) -> list[list[Answer]]:
        """Return one answer a question.

        A choice is as likely as its tokens are at the exits that they take.

        Cost:
            The layers that tokens need, and the head at every exit that they come by. Questions
            share nothing.
        """
        stack, task = evaluator.stack, evaluator.task
        with torch.inference_mode():
            written = [self._answer(stack, task, example) for example in examples]
        return graded(examples, written, evaluator)

    def _answer(self, stack: LayerStack, task: Task, example: Example) -> tuple[Completion, Cost]:
        prompt = task.prompt(example)
        row = ExitRow(stack, self.exits, self.thresholds)
        if example.choices:
            return _choose(stack, row, prompt, [f" {choice}" for choice in example.choices])
        return _write(stack, row, prompt, task)


def _write(stack: LayerStack, row: ExitRow, prompt: str, task: Task) -> tuple[Completion, Cost]:
    """Write an answer token by token."""
    completion = write_by(
        stack,
        prompt,
        lambda _n_prompt: row.next_logits,
        max_new_tokens=task.max_new_tokens,
        stop=task.stop,
    )
    n_run = completion.batch_shape[1] + max(len(completion.token_ids) - 1, 0)
    return completion, Cost(n_passes=row.n_layer_passes / n_run, kv_bytes=row.kv_bytes)


def _choose(
    stack: LayerStack, row: ExitRow, prompt: str, choices: Sequence[str]
) -> tuple[Completion, Cost]:
    """Pick the likeliest choice; all go on from the tokens that they have in common."""
    pairs = encode_pairs(stack, [prompt] * len(choices), choices)
    check_lengths(
        stack, [Row(0, pair.whole, Program.identity(stack.n_layers)) for pair in pairs], 0
    )
    n_common = min(
        min(common_length(pairs[0].whole, pair.whole), len(pair.whole) - pair.n_continued)
        for pair in pairs
    )
    first_V = row.next_logits(pairs[0].whole[:n_common])
    n_passes, n_run, scored = row.n_layer_passes, n_common, []
    for whole, n_continued in pairs:
        logits_V, logprob, forked = first_V, 0.0, row.fork()
        for at in range(n_common, len(whole)):
            if at >= len(whole) - n_continued:
                logprob += float(logits_V.log_softmax(-1)[whole[at]])
            if at < len(whole) - 1:
                logits_V = forked.next_logits([whole[at]])
        scored.append(Scored(logprob, (1, len(whole))))
        n_passes += forked.n_layer_passes
        n_run += len(whole) - 1 - n_common
    completion = best_choice(choices, scored, Program.identity(stack.n_layers))
    return completion, Cost(n_passes=n_passes / n_run, kv_bytes=row.kv_bytes)
