"""Forward passes of a batch in which every row follows its own path through the layers.

Hugging Face's own forward pass runs on a shallow clone of the model whose layers are stubs. Each
stub notes the mask and the position embeddings that its layer would have been given; the last one
runs the schedule on the real layers. So embeddings, masks, final norm and head stay those of the
family, and the model itself is not touched.

Shapes: B rows, T new tokens, K tokens so far and new ones, N last tokens, D hidden size,
V vocabulary.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache, PreTrainedModel
from transformers.utils import ModelOutput

from skiploop.engine.cache import CallCache
from skiploop.engine.schedule import Call, schedule
from skiploop.errors import UnsupportedModelError
from skiploop.stack import LayerStack
from skiploop.view import graft

_Arguments = tuple[tuple[object, ...], dict[str, object]]


class Executor:
    """Runs one batch. Not shared between threads; any number of them can use one stack.

    Args:
        stack: The frozen model.
        paths: Layers in the order they run, one path a row.
        use_cache: Whether keys and values are kept for the next tokens.

    Raises:
        UnsupportedModelError: The model takes no cache, or is spread over devices.

    Guarantees:
        In float32 a row equals the row run alone, within 1e-4, or 1e-3 with recurrent layers
        (tests/model/test_mixed_batch.py). In bfloat16 the batch may change a greedy token.

    Cost:
        One layer call for each call of the schedule. Cache: one slot for each row and executed
        layer, with all tokens of the longest row.
    """

    def __init__(
        self, stack: LayerStack, paths: Sequence[Sequence[int]], *, use_cache: bool
    ) -> None:
        self._stack = stack
        self._accepted = inspect.signature(stack.model.forward).parameters
        if use_cache and "past_key_values" not in self._accepted:
            raise UnsupportedModelError(
                f"{type(stack.model).__name__} takes no past_key_values: "
                "use stack.view(program).generate"
            )
        calls = schedule(paths)
        self._cache = CallCache(stack.model.config, calls) if use_cache else None
        self._set_calls(calls, len(paths))
        self.returns_tuples = stack.layers_return_tuples
        self._arguments: list[_Arguments] = [((), {})] * stack.n_layers
        self._states_BTD = torch.empty(0)
        stubs = [_Stub(layer, index, self) for index, layer in enumerate(stack.layers)]
        self._model: PreTrainedModel = graft(stack.model, stack.layers_path, nn.ModuleList(stubs))

    def _set_calls(self, calls: Sequence[Call], n_rows: int) -> None:
        self._n_rows = n_rows
        self._calls = [(call, torch.tensor(call.rows, device=self._stack.device)) for call in calls]

    def logits(self, tokens_BT: Tensor, mask_BK: Tensor, *, n_last: int) -> Tensor:
        """Run the next tokens of every row and return the logits at the last ones.

        Args:
            tokens_BT: Token ids, padded on the left.
            mask_BK: 1 at every real token so far, 0 at the padding.
            n_last: How many positions N to return.

        Returns:
            logits_BNV: float32.
        """
        wanted = {"logits_to_keep": n_last, "output_router_logits": False}
        extra = {name: wanted[name] for name in wanted if name in self._accepted}
        output = self._forward(self._model, tokens_BT, mask_BK, **extra)
        logits_BNV: Tensor = output.logits[:, -n_last:].float()
        return logits_BNV

    def hidden(self, tokens_BT: Tensor, mask_BK: Tensor) -> Tensor:
        """Run the paths and return hidden_BTD before the final norm; the head does not run."""
        owner = self._stack.layers_path.rpartition(".")[0]
        self._forward(self._model.get_submodule(owner), tokens_BT, mask_BK)
        return self._states_BTD

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all rows but `rows` (ascending); row `rows[i]` becomes row `i`."""
        if self._cache is None:
            raise ValueError("rows can only leave a batch that has a cache")
        self._cache.keep(rows)
        self._set_calls(self._cache.calls, len(rows))

    def _forward(
        self, model: PreTrainedModel, tokens_BT: Tensor, mask_BK: Tensor, **extra: object
    ) -> ModelOutput:
        if "position_ids" in self._accepted:
            positions_BK = (mask_BK.cumsum(-1) - 1).clamp(min=0)
            extra["position_ids"] = positions_BK[:, -tokens_BT.shape[1] :]
        output = model(
            input_ids=tokens_BT,
            attention_mask=mask_BK,
            past_key_values=self._cache,
            use_cache=self._cache is not None,
            **extra,
        )
        if self._cache is not None:
            self._cache.advance(tokens_BT.shape[1])
        return output

    def visit(self, index: int, states_BTD: Tensor, arguments: _Arguments) -> Tensor:
        """Note what layer `index` is called with; at the last one, run the schedule.

        Raises:
            UnsupportedModelError: The family changes the states between its layers.
        """
        if index and states_BTD is not self._states_BTD:
            raise UnsupportedModelError(
                f"{type(self._stack.model).__name__} changes hidden states between its layers: "
                "use stack.view(program)"
            )
        self._arguments[index] = arguments
        if index == self._stack.n_layers - 1:
            states_BTD = self._run_schedule(states_BTD)
        self._states_BTD = states_BTD
        return states_BTD

    def _run_schedule(self, states_BTD: Tensor) -> Tensor:
        done: dict[tuple[int, tuple[int, ...]], Tensor] = {}
        for index, (call, rows) in enumerate(self._calls):
            if self._cache is not None:
                self._cache.enter(index)
            layer = self._stack.layers[call.layer]
            args, kwargs = self._arguments[call.layer]
            if len(call.rows) == self._n_rows:
                states_BTD = _tensor(layer(states_BTD, *args, **kwargs))
            else:
                pick = _Picker(call, rows, self._n_rows, done).pick
                output = layer(states_BTD.index_select(0, rows), *pick(args), **pick(kwargs))
                states_BTD = states_BTD.index_copy(0, rows, _tensor(output))
        return states_BTD


class _StandIn(nn.Module):
    """Stands where a layer stands and has its attributes, which loops over layers read.

    The layer is not a submodule of it, so that nothing is installed on the layer through it.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.__dict__["layer"] = layer

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  as nn.Module has it
        return getattr(self.__dict__["layer"], name)


class _Stub(_StandIn):
    """Tells the executor how its layer is called, and passes on what the executor returns."""

    def __init__(self, layer: nn.Module, index: int, executor: Executor) -> None:
        super().__init__(layer)
        self.index = index
        # The executor owns the stubs: a plain reference back would keep its cache alive.
        self.executor = weakref.proxy(executor)

    def forward(self, hidden_states: Tensor, *args: object, **kwargs: object) -> object:
        """Return the states in the form in which the layer would return them."""
        states = self.executor.visit(self.index, hidden_states, (args, kwargs))
        return (states,) if self.executor.returns_tuples else states


class _Probe(_StandIn):
    """Runs its layer and notes the type of what it returns."""

    def forward(self, *args: object, **kwargs: object) -> object:
        """Return what the layer returns."""
        output = self.layer(*args, **kwargs)
        self.returns_tuple = isinstance(output, tuple)
        return output


def returns_tuples(stack: LayerStack) -> bool:
    """Whether the layers return tuples instead of tensors: found by running one token."""
    probe = _Probe(stack.layers[0])
    model: PreTrainedModel = graft(
        stack.model, stack.layers_path, nn.ModuleList([probe, *list(stack.layers)[1:]])
    )
    with torch.inference_mode():
        model(input_ids=torch.zeros(1, 1, dtype=torch.long, device=stack.device), use_cache=False)
    return probe.returns_tuple


@dataclass(frozen=True)
class _Picker:
    """Takes some rows of everything that a layer is called with.

    A tensor whose first of several dimensions is the batch is split; vectors, tensors with 1
    there, plain values and the cache are shared by all rows.

    Attributes:
        call: Whose rows to take.
        rows: The same as a tensor.
        n_rows: Rows of the batch.
        done: What was split in this forward pass, by identity and rows.
    """

    call: Call
    rows: Tensor
    n_rows: int
    done: dict[tuple[int, tuple[int, ...]], Tensor]

    def pick(self, value: object) -> Any:  # noqa: ANN401  as many types as families
        """Return the rows of a tensor, or of the tensors in tuples, lists and dicts.

        Raises:
            UnsupportedModelError: A value has rows that cannot be told apart.
        """
        if isinstance(value, Tensor) and value.ndim > 1 and len(value) == self.n_rows:
            return self._split(value)
        if isinstance(value, Tensor) and (value.ndim < 2 or len(value) == 1):
            return value
        if type(value) is tuple or type(value) is list:
            return type(value)(map(self.pick, value))
        if type(value) is dict:
            return {name: self.pick(item) for name, item in value.items()}
        if value is None or isinstance(value, Cache | bool | int | float | str):
            return value
        if isinstance(value, Mapping) and not value:
            return value
        what = type(value).__name__
        if isinstance(value, Tensor):
            what += f" of shape {list(value.shape)}"
        raise UnsupportedModelError(
            f"layers are called with a {what}, which cannot be split into {self.n_rows} rows: "
            "give all rows the same program, or load the model with attn_implementation='sdpa'"
        )

    def _split(self, tensor: Tensor) -> Tensor:
        key = id(tensor), self.call.rows
        if key not in self.done:
            self.done[key] = tensor.index_select(0, self.rows)
        return self.done[key]


def _tensor(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    """Return the hidden states of a layer's output, which in some families is a tuple."""
    return output[0] if isinstance(output, tuple) else output
