"""Layers that stand in for those of the model: one prompt at a time, or answers to learn from.

For methods that no program describes. How texts become tokens, when an answer ends and which choice
is the likeliest is the same as in mixed batches; embeddings, masks, final norm and head are those
of the family.

Shapes: the letters of the engine (docs/reference/shapes.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from skiploop.engine.batching.encoding import Pair, encode, encode_pairs
from skiploop.engine.batching.rows import Row, check_lengths
from skiploop.engine.cache.slots import CallCache
from skiploop.engine.completion import Completion
from skiploop.engine.decoding.row_state import RowState, TokenWriter
from skiploop.engine.forward.calling import model_inputs, without_cache
from skiploop.engine.options import Options
from skiploop.engine.plan.schedule import schedule
from skiploop.engine.score import Scored, best_choice
from skiploop.errors import UnsupportedModelError
from skiploop.models.view import graft
from skiploop.programs.program import Program

if TYPE_CHECKING:
    from skiploop.stack import LayerStack

Begin = Callable[[int], nn.ModuleList]
"""Returns the layers of one sequence, of which so many first tokens are the prompt."""

NextLogits = Callable[[Sequence[int]], Tensor]
"""Runs the next tokens of a sequence and returns float32 logits_V after the last of them."""


class Sequencer:
    """Runs one sequence, part by part, and keeps keys and values; layers stand in for the model's.

    Attributes:
        cache: A slot for each layer; that of a layer that writes nothing to it stays empty.

    Raises:
        UnsupportedModelError: The family keeps keys and values elsewhere, or none.
    """

    def __init__(self, stack: LayerStack, layers: nn.ModuleList) -> None:
        if not stack.way.caches or "past_key_values" not in stack.accepted:
            raise UnsupportedModelError(
                f"{type(stack.model).__name__} keeps no keys and values that layers can go on "
                "from one by one: use another family"
            )
        self._stack = stack
        self._model: PreTrainedModel = graft(stack.model, stack.layers_path, layers)
        calls = schedule([tuple(range(stack.n_layers))]).calls
        self.cache = CallCache(stack.model.config, calls)
        for index in range(len(calls)):
            self.cache.enter(index)

    def logits(self, tokens: Sequence[int], n_last: int) -> Tensor:
        """Run the next tokens and return float32 logits_NV after the last `n_last` of them."""
        tokens_ST = torch.tensor([tokens], device=self._stack.device)
        mask_SK = tokens_ST.new_ones(1, self.cache.n_tokens + len(tokens))
        output = self._model(
            **model_inputs(self._stack, tokens_ST, mask_SK),
            past_key_values=self.cache,
            use_cache=True,
        )
        self.cache.n_tokens += len(tokens)
        logits_NV: Tensor = output.logits[0, -n_last:].float()
        return logits_NV

    def next_logits(self, tokens: Sequence[int]) -> Tensor:
        """Run the next tokens and return float32 logits_V after the last of them."""
        return self.logits(tokens, 1)[0]


def write_alone(
    stack: LayerStack, prompt: str, begin: Begin, *, max_new_tokens: int, stop: Sequence[str]
) -> Completion:
    """Return the greedy answer to one prompt.

    Raises:
        BatchError: The prompt is empty or too long.
        UnsupportedModelError: As for `Sequencer`.
    """

    def start(n_prompt: int) -> NextLogits:
        return Sequencer(stack, begin(n_prompt)).next_logits

    return write_by(stack, prompt, start, max_new_tokens=max_new_tokens, stop=stop)


@torch.inference_mode()
def write_by(
    stack: LayerStack,
    prompt: str,
    start: Callable[[int], NextLogits],
    *,
    max_new_tokens: int,
    stop: Sequence[str],
) -> Completion:
    """Return the greedy answer to one prompt, whatever runs its tokens.

    Args:
        stack: The model.
        prompt: The text to continue.
        start: Returns what runs the tokens of a sequence, of which so many first ones are the
            prompt.
        max_new_tokens: As for `LayerStack.generate`.
        stop: As for `LayerStack.generate`.

    Raises:
        BatchError: The prompt is empty or too long.
    """
    (tokens,) = encode(stack, [prompt])
    row = Row(0, tokens, Program.identity(stack.n_layers))
    check_lengths(stack, [row], max_new_tokens)
    writer = TokenWriter(stack, Options(max_new_tokens=max_new_tokens, stop=stop))
    state = RowState(row, writer, (1, len(tokens)))
    next_logits, new = start(len(tokens)), tokens
    while True:
        token, logprob = (float(one) for one in writer.choose(next_logits(new)[None], [state]))
        writer.append(state, [int(token)], [logprob])
        if stopped_by := writer.stopped_by(state):
            return writer.completion(state, stopped_by)
        new = (int(token),)


@torch.inference_mode()
def choose_alone(
    stack: LayerStack, prompt: str, choices: Sequence[str], begin: Begin
) -> Completion:
    """Return the likeliest continuation of one prompt, as `LayerStack.choose` does.

    Raises:
        BatchError: The prompt or a choice is empty or too long.
        UnsupportedModelError: As for `Sequencer`.
    """
    program = Program.identity(stack.n_layers)
    scored = []
    for pair in encode_pairs(stack, [prompt] * len(choices), choices):
        check_lengths(stack, [Row(0, pair.whole, program)], 0)
        n_new = pair.n_continued
        sequence = Sequencer(stack, begin(len(pair.whole) - n_new))
        logits_NV = sequence.logits(pair.whole[:-1], n_new)
        scored.append(Scored(float(_logprob(logits_NV, pair.whole[-n_new:])), (1, len(pair.whole))))
    return best_choice(choices, scored, program)


def answer_logprobs(stack: LayerStack, pairs: Sequence[Pair], layers: nn.ModuleList) -> Tensor:
    """Return the log-probability of answers for each of their tokens, with what gradients need.

    Layers stand in for those of the model. Shorter sequences are padded behind, where no token of
    theirs looks.
    """
    model = graft(stack.model, stack.layers_path, layers)
    longest = max(len(pair.whole) for pair in pairs) - 1
    padded = [(*pair.whole[:-1], *[0] * (longest - len(pair.whole) + 1)) for pair in pairs]
    tokens_BT = torch.tensor(padded, device=stack.device)
    inputs = model_inputs(stack, tokens_BT, torch.ones_like(tokens_BT))
    logits_BTV = model(**inputs, **without_cache(stack)).logits
    found = []
    for logits_TV, (whole, n_new) in zip(logits_BTV, pairs, strict=True):
        answered_NV = logits_TV[len(whole) - 1 - n_new : len(whole) - 1].float()
        found.append(_logprob(answered_NV, whole[-n_new:]) / n_new)
    return torch.stack(found)


def _logprob(logits_NV: Tensor, tokens: Sequence[int]) -> Tensor:
    """Return the log-probability of some tokens together."""
    tokens_N1 = torch.tensor(tokens, device=logits_NV.device)[:, None]
    return logits_NV.log_softmax(-1).gather(-1, tokens_N1).sum()
