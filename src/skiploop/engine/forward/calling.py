"""How a model calls its layers: found once, by running a few tokens through its own loop.

Families differ in what their layers return, and in which arguments have an entry for each sequence:
at the first dimension or a later one, once, or once for each head. So two batches of different size
are run through stand-ins, and what grows with the batch is what has entries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from inspect import Parameter
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from skiploop.engine.plan.gather import Place
from skiploop.errors import UnsupportedModelError
from skiploop.models.view import graft

if TYPE_CHECKING:
    from skiploop.stack import LayerStack

_N_TOKENS = 3


class Calling(NamedTuple):
    """How a model calls its layers.

    Attributes:
        n_returned: Entries of the tuple or list that a layer returns, states first; None for a
            tensor.
        rows: For each layer, the dimension of its arguments that has entries for each sequence;
            None where all sequences share one.
    """

    n_returned: int | None
    rows: list[Mapping[Place, int | None]]


class StandIn(nn.Module):
    """Stands where a layer stands and has its attributes, which loops over layers read.

    The layer is not a submodule of it, so that nothing is installed on the layer through it.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.__dict__["layer"] = layer

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  as nn.Module has it
        return getattr(self.__dict__["layer"], name)


class _Probe(StandIn):
    """Notes how its layer is called; the first one runs and fills `outputs`, the others do not."""

    def __init__(self, layer: nn.Module, outputs: list[object]) -> None:
        super().__init__(layer)
        self.outputs = outputs
        self.sizes: dict[Place, torch.Size] = {}

    def forward(self, hidden_states: Tensor, *args: object, **kwargs: object) -> object:
        """Return the states that the layer is given, as if they were its output."""
        self.sizes = {place: tensor.shape for place, tensor in tensors((args, kwargs))}
        if not self.outputs:
            self.outputs.append(self.layer(hidden_states, *args, **kwargs))
        return as_returned(hidden_states, _n_returned(self.outputs))


def find_calling(stack: LayerStack) -> Calling:
    """Return how a model calls its layers.

    Cost:
        The first layer on five sequences of three tokens.
    """
    two, three = _probed(stack, 2), _probed(stack, 3)
    rows: list[Mapping[Place, int | None]] = [
        {
            place: _growing(size, other.sizes[place])
            for place, size in one.sizes.items()
            if place in other.sizes
        }
        for one, other in zip(two, three, strict=True)
    ]
    return Calling(_n_returned(two[0].outputs), rows)


def model_inputs(stack: LayerStack, tokens_ST: Tensor, mask_SK: Tensor) -> dict[str, object]:
    """Return what the model is called with for some tokens, apart from a cache.

    Args:
        stack: Its way says whose positions are used: the model's own where nothing is padded.
        tokens_ST: Token ids.
        mask_SK: 1 at every real token so far, 0 at padding.
    """
    inputs: dict[str, object] = {"input_ids": tokens_ST, "attention_mask": mask_SK}
    if stack.way.pads:
        positions_SK = (mask_SK.cumsum(-1) - 1).clamp(min=0)
        inputs["position_ids"] = positions_SK[:, -tokens_ST.shape[1] :]
    return {name: value for name, value in inputs.items() if name in stack.accepted}


def tensors(value: object, place: Place = ()) -> Iterator[tuple[Place, Tensor]]:
    """Yield the tensors among some arguments, and where each is."""
    if isinstance(value, Tensor):
        yield place, value
    elif type(value) is tuple or type(value) is list:
        for index, item in enumerate(value):
            yield from tensors(item, (*place, index))
    elif type(value) is dict:
        for name, item in value.items():
            yield from tensors(item, (*place, name))


def states_of(output: Any) -> Tensor:  # noqa: ANN401  as many types as families
    """Return the hidden states of a layer's output, in some families a tuple or list."""
    states: Tensor = output[0] if isinstance(output, tuple | list) else output
    return states


def _probed(stack: LayerStack, n_sequences: int) -> list[_Probe]:
    """Return the probes through which a batch has run."""
    outputs: list[object] = []
    probes = [_Probe(layer, outputs) for layer in stack.layers]
    model: nn.Module = graft(stack.model, stack.layers_path, nn.ModuleList(probes))
    tokens_ST = torch.zeros(n_sequences, _N_TOKENS, dtype=torch.long, device=stack.device)
    mask_ST = torch.ones_like(tokens_ST)
    mask_ST[0, 0] = 0 if stack.way.pads else 1
    with torch.inference_mode():
        model(**model_inputs(stack, tokens_ST, mask_ST), **without_cache(stack))
    return probes


def without_cache(stack: LayerStack) -> dict[str, object]:
    """Return what tells a model to keep nothing, if it can be told."""
    kinds = {parameter.kind for parameter in stack.accepted.values()}
    takes_all = Parameter.VAR_KEYWORD in kinds
    return {"use_cache": False} if takes_all or "use_cache" in stack.accepted else {}


def _n_returned(outputs: Sequence[object]) -> int | None:
    output = outputs[0]
    return len(output) if isinstance(output, tuple | list) else None


def as_returned(states: Tensor, n_returned: int | None) -> Tensor | tuple[Tensor | None, ...]:
    """Return states in the form in which a layer returns them."""
    return states if n_returned is None else (states, *[None] * (n_returned - 1))


def _growing(two: torch.Size, three: torch.Size) -> int | None:
    """Return the dimension that grows with the number of sequences, as from two to three."""
    if two == three:
        return None
    for dimension, (size, larger) in enumerate(zip(two, three, strict=False)):
        if size * 3 == larger * 2:
            return dimension
    raise UnsupportedModelError(
        f"layers are called with a tensor of shape {list(two)} for 2 sequences and {list(three)} "
        "for 3, whose entries cannot be told apart: use stack.view(program).generate"
    )
