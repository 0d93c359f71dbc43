"""What each single edit would change of an answer's log-probability, to first order.

One pass forward and one backward give the states h before every layer and how log p changes with
each of them, g. A skipped block of layers i to j puts h_i in the place of h_j, which changes log p
by about g_j (h_i - h_j). A block F that runs again puts F(h_j) there: g_j (F(h_j) - h_j). This is
attribution patching, with the states of the same pass in the place of those of another prompt.

No weight gets a gradient: it is that of states alone.

Shapes: E edits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from skiploop.engine.batching.encoding import encode_pairs
from skiploop.engine.forward.calling import StandIn, states_of
from skiploop.programs.segment import Segment
from skiploop.stack import LayerStack
from skiploop.trials.slopes import answer_logprobs


class _Noting(StandIn):
    """Notes what its layer is given, and what it returns.

    Attributes:
        given: States; those of the first layer are where gradients end.
        returned: States.
    """

    given: Tensor
    returned: Tensor

    def __init__(self, layer: nn.Module, *, is_first: bool) -> None:
        super().__init__(layer)
        self.is_first = is_first

    def forward(self, hidden_states: Tensor, *args: object, **kwargs: object) -> object:
        """Return what the layer returns."""
        if self.is_first:
            hidden_states = hidden_states.detach().requires_grad_()
        self.given, self.arguments = hidden_states, (args, kwargs)
        output = self.layer(hidden_states, *args, **kwargs)
        self.returned = states_of(output)
        return output

    def again(self, states: Tensor) -> Tensor:
        """Return what the layer makes of other states."""
        args, kwargs = self.arguments
        return states_of(self.layer(states, *args, **kwargs))


def first_order_gains(
    stack: LayerStack, prompt: str, answer: str, edits: Sequence[Segment]
) -> np.ndarray:
    """Return gain_E: what each edit changes of the log-probability of an answer, about.

    Args:
        stack: The frozen model.
        prompt: A text.
        answer: What follows it.
        edits: Blocks that are skipped or run twice.

    Cost:
        Three passes of the model, and one of each block that runs twice. With all blocks of one to
        four layers these are about ten more.
    """
    (pair,) = encode_pairs(stack, [prompt], [answer])
    layers = [_Noting(layer, is_first=not n) for n, layer in enumerate(stack.layers)]
    with torch.enable_grad():
        (logprob,) = answer_logprobs(stack, [pair], layers)
        noted = [*(layer.given for layer in layers), layers[-1].returned]
        gradients = torch.autograd.grad(logprob, noted)
    states = [one.detach() for one in noted]
    with torch.no_grad():
        changes = (_instead(edit, layers, states) - states[edit.stop] for edit in edits)
        return np.array(
            [
                float((gradients[edit.stop] * change).sum())
                for edit, change in zip(edits, changes, strict=True)
            ]
        )


def _instead(edit: Segment, layers: Sequence[_Noting], states: Sequence[Tensor]) -> Tensor:
    """Return what the layer after a block is given under an edit of it."""
    if not edit.runs:
        return states[edit.start]
    again = states[edit.stop]
    for layer in layers[edit.start : edit.stop]:
        again = layer.again(again)
    return again
