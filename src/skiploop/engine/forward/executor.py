"""Forward passes of a batch in which every row follows its own path through the layers.

Hugging Face's own forward pass runs on a shallow clone of the model whose layers are stubs. Each
stub notes the mask and the position embeddings that its layer would have been given; the last one
runs the schedule on the real layers. So embeddings, masks, final norm and head stay those of the
family, and the model itself is not touched.

Shapes: the letters of the engine (docs/reference/shapes.md).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from skiploop.engine.cache.joined import Held, joined
from skiploop.engine.cache.slots import CallCache, PrefixKV
from skiploop.engine.cache.static import StaticCallCache
from skiploop.engine.forward.calling import (
    StandIn,
    as_returned,
    model_inputs,
    states_of,
    without_cache,
)
from skiploop.engine.forward.fused import fused
from skiploop.engine.forward.gqa import grouped
from skiploop.engine.plan.fork import fork
from skiploop.engine.plan.gather import Picker, make_plan
from skiploop.engine.plan.merge import merge
from skiploop.engine.plan.schedule import Schedule
from skiploop.errors import UnsupportedModelError
from skiploop.models.scaling import scaled
from skiploop.models.view import graft

if TYPE_CHECKING:
    from skiploop.stack import LayerStack

_FREED = torch.empty(0)
Then = Callable[[Tensor], tuple[Schedule, list[PrefixKV]] | None]
_Arguments = tuple[tuple[object, ...], dict[str, object]]


class Ongoing(NamedTuple):
    """Rows of an executor that go on, and how many of its last tokens they still need."""

    executor: Executor
    rows: Sequence[int]
    n_tokens: int


class Executor:
    """Runs one batch. Not shared between threads; any number of them can use one stack.

    Args:
        stack: The frozen model.
        schedule: Token sequences, rows and the order in which layers run for them.
        use_cache: Whether the batch can go on with further tokens: keys and values are kept, or,
            where the model has no use for a cache, its tokens.
        prefixes: For each call, keys and values that its nodes go on from, if there are any.

    Attributes:
        stack, schedule: As given.
        kept: States_TD of the nodes that `hidden` was asked to keep.

    Raises:
        UnsupportedModelError: The model takes no cache, or is spread over devices.

    Guarantees:
        In float32 a row equals the row run alone, within 1e-4, or 1e-3 with recurrent layers
        (tests/model/test_mixed_batch.py). In bfloat16 the batch may change a greedy token.

    Cost:
        One layer call for each call of the schedule, on as many sequences as the call has nodes.
        Cache: one slot for each node, with all tokens of the longest sequence.
    """

    def __init__(
        self,
        stack: LayerStack,
        schedule: Schedule,
        *,
        use_cache: bool,
        prefixes: Sequence[PrefixKV] = (),
    ) -> None:
        self.stack = stack
        self.calling = stack.calling
        self._cache: CallCache | None = None
        self._held_SK: Tensor | None = None  # tokens to run again, in place of a cache
        if use_cache and stack.way.caches:
            if "past_key_values" not in stack.accepted:
                raise UnsupportedModelError(
                    f"{type(stack.model).__name__} takes no past_key_values: "
                    "use stack.view(program).generate"
                )
            self._cache = CallCache(stack.model.config, schedule.calls, prefixes)
        elif use_cache:
            self._held_SK = torch.empty(
                schedule.n_sources, 0, dtype=torch.long, device=stack.device
            )
        self.schedule = schedule
        self._plan = make_plan(schedule, stack.device)
        self._arguments: list[_Arguments] = []
        self._states_RTD = torch.empty(0)
        self._ready_RND: Tensor | None = None
        self._for_head = True
        self._starts: Mapping[int, Tensor] = {}
        self._keep: frozenset[int] = frozenset()
        self._then: Then | None = None
        self.kept: dict[int, Tensor] = {}
        stubs = [_Stub(layer, index, self) for index, layer in enumerate(stack.layers)]
        self._model: PreTrainedModel = graft(stack.model, stack.layers_path, nn.ModuleList(stubs))

    @cached_property
    def layers(self) -> list[nn.Module]:
        """The layers as they run here: fast, but for exactness as they are."""
        if self.stack.exact:
            return list(self.stack.layers)
        layers, parts = grouped(self.stack.layers), self.stack.parts
        return fused(layers, parts) if parts.pay else layers

    def fork(self, rows: Sequence[int], sources: Sequence[int], n_more: int = 0) -> Executor:
        """Return an executor in which rows of this one go on with further tokens.

        Args:
            rows: For each new row, the row of this batch that it continues.
            sources: The sequence of further tokens of each new row, numbered from 0.
            n_more: How many further tokens keys and values get room for at once.
        """
        forked = fork(self.schedule, rows, sources)
        executor = Executor(self.stack, forked.schedule, use_cache=False)
        executor.layers = self.layers
        if self._held_SK is not None:
            leaves = {
                source: self.schedule.leaves[row] for row, source in zip(rows, sources, strict=True)
            }
            held = [self.schedule.sources[leaf] for _, leaf in sorted(leaves.items())]
            executor._held_SK = self._held_SK[held]
        else:
            executor._cache = self.cache.fork(forked, self.stack.device, n_more)
            self.stack.work.note_cache(self.cache.n_bytes + executor._cache.n_bytes)
        return executor

    @staticmethod
    def joined(parts: Sequence[Ongoing], n_more: int) -> Executor:
        """Return an executor in which rows of several ones go on together with further tokens.

        Args:
            parts: The rows, in their order; all of one stack that attends fully.
            n_more: How many further tokens keys and values get room for at once.
        """
        merged = merge([(executor.schedule, rows) for executor, rows, _ in parts])
        stack = parts[0].executor.stack
        held = [Held(part.executor.cache, part.n_tokens) for part in parts]
        executor = Executor(stack, merged.schedule, use_cache=False)
        executor.layers = parts[-1].executor.layers
        executor._cache = joined(held, merged, stack.device, n_more)
        stack.work.note_cache(executor._cache.n_bytes + sum(part.cache.n_bytes for part in held))
        return executor

    @property
    def cache(self) -> CallCache:
        """Keys, values and states of the tokens so far."""
        if self._cache is None:
            raise ValueError("rows can only go on from a batch that has a cache")
        return self._cache

    def fix_length(self, length: int, place_1: Tensor) -> StaticCallCache:
        """Give keys and values their final length, so that they stay where they are.

        Args:
            length: Tokens that there is room for.
            place_1: Where the next token goes; the caller moves it on.

        Returns:
            The cache from now on; the caller counts the tokens that it gets.
        """
        self._cache = fixed = StaticCallCache(self.cache, length, place_1)
        self.stack.work.note_cache(fixed.n_bytes)
        return fixed

    def note_replay(self) -> None:
        """Note the work of a step of one token that ran again without this executor's code."""
        for call in self.schedule.calls:
            self._note_call(call.stop - call.start, 1)

    def _note_call(self, n_sequences: int, n_tokens: int) -> None:
        self.stack.work.note_call(n_sequences, n_tokens)
        self.stack.parts.note_call(n_sequences, n_tokens)

    def logits(self, tokens_ST: Tensor, mask_SK: Tensor, *, n_last: int) -> Tensor:
        """Run the next tokens of every sequence and return the logits at the last ones.

        Args:
            tokens_ST: Token ids.
            mask_SK: 1 at every real token so far, 0 at padding.
            n_last: How many positions N to return.

        Returns:
            logits_RNV: float32, one entry for each row.
        """
        output = self._forward(self._model, tokens_ST, mask_SK, **self._options(n_last))
        logits_RNV: Tensor = output.logits[:, -n_last:].float()
        return logits_RNV

    def hidden(
        self,
        tokens_ST: Tensor,
        mask_SK: Tensor,
        *,
        starts: Mapping[int, Tensor] | None = None,
        keep: Collection[int] = (),
        then: Then | None = None,
    ) -> Tensor:
        """Run the paths and return hidden_RTD before the final norm; the head does not run.

        Args:
            tokens_ST: Token ids.
            mask_SK: 1 at every real token so far, 0 at padding.
            starts: For some sequences, the states_TD without padding that take the place of their
                embeddings: their paths go on from there.
            keep: Nodes whose states to put into `kept`.
            then: Given the states_RTD after all calls, returns a schedule that extends this one,
                and the prefixes of its further calls; these run in the same pass. It is asked
                again after them, until it returns None.
        """
        self._starts, self._keep, self._then = starts or {}, frozenset(keep), then
        self._for_head = False
        self._forward(self._model.get_submodule(self.stack.decoder_path), tokens_ST, mask_SK)
        self._starts, self._keep, self._then = {}, frozenset(), None
        self._for_head = True
        return self._states_RTD[:, -tokens_ST.shape[1] :]

    def head(self, states_RND: Tensor) -> Tensor:
        """Return logits_RNV, float32, of states that `hidden` returned: final norm and head."""
        self._ready_RND = states_RND
        self._arguments = []
        dummy_RN = torch.zeros(states_RND.shape[:2], dtype=torch.long, device=states_RND.device)
        output = self._model(input_ids=dummy_RN, **without_cache(self.stack), **self._options(0))
        self._ready_RND = None
        logits_RNV: Tensor = output.logits.float()
        return logits_RNV

    def keys_values(self) -> Iterator[tuple[int, tuple[Tensor, Tensor]]]:
        """Yield each node with its keys and values, where all layers are attention."""
        slots = self._cache.slots if self._cache else []
        for call, slot in zip(self.schedule.calls, slots, strict=True):
            for node, keys, values in zip(range(call.start, call.stop), *slot.whole(), strict=True):
                yield node, (keys, values)

    def _options(self, n_last: int) -> dict[str, object]:
        wanted = {"logits_to_keep": n_last, "output_router_logits": False}
        return {name: wanted[name] for name in wanted if name in self.stack.accepted}

    def _forward(
        self, model: PreTrainedModel, tokens_ST: Tensor, mask_SK: Tensor, **extra: object
    ) -> ModelOutput:
        self._arguments = []
        if self._held_SK is not None:
            self._held_SK = tokens_ST = torch.cat([self._held_SK, tokens_ST], dim=1)
        if self._cache is None:
            extra |= without_cache(self.stack)
        else:
            extra |= {"past_key_values": self._cache, "use_cache": True}
        output = model(**model_inputs(self.stack, tokens_ST, mask_SK), **extra)
        if len(self._arguments) < self.stack.n_layers:
            raise UnsupportedModelError(
                f"{type(self.stack.model).__name__} runs only {len(self._arguments)} of its "
                f"{self.stack.n_layers} layers on text: use another family"
            )
        if self._cache is not None:
            self._cache.advance(tokens_ST.shape[1])
            self.stack.work.note_cache(self._cache.n_bytes)
        return output

    def visit(self, index: int, states_STD: Tensor, arguments: _Arguments) -> Tensor:
        """Note what layer `index` is called with; at the last one, run the schedule.

        Returns:
            The states for the next layer, or for the final norm and the head.

        Raises:
            UnsupportedModelError: The family runs its layers in another order, or changes the
                states between them.
        """
        if index != len(self._arguments) or (index and states_STD is not self._states_RTD):
            raise UnsupportedModelError(
                f"the loop of {type(self.stack.model).__name__} changes hidden states between its "
                "layers, or does not run them one after the other: use another family"
            )
        self._arguments.append(arguments)
        self._states_RTD = states_STD
        if index < self.stack.n_layers - 1:
            return states_STD
        self._states_RTD = self._run(states_STD) if self._ready_RND is None else self._ready_RND
        return self._states_RTD if self._for_head else states_STD

    def _run(self, states_STD: Tensor) -> Tensor:
        """Run the schedule on the embeddings and return the states of every row, in order."""
        if self._starts:
            states_STD = states_STD.clone()
            for source, states_TD in self._starts.items():
                states_STD[source, -len(states_TD) :] = states_TD
        outputs = [states_STD]
        self._run_calls(outputs)
        states_RTD = self._plan.pick(outputs, self._plan.leaves)
        while self._then is not None and (further := self._then(states_RTD)) is not None:
            self.schedule, prefixes = further
            self._plan = make_plan(self.schedule, self.stack.device)
            if self._cache is not None:
                self._cache.extend(self.schedule.calls, prefixes)
            self._run_calls(outputs)
            states_RTD = self._plan.pick(outputs, self._plan.leaves)
        return states_RTD

    def _run_calls(self, outputs: list[Tensor]) -> None:
        """Run the calls whose outputs are still missing."""
        picker = Picker(self.schedule.n_sources)
        for index in range(len(outputs) - 1, len(self.schedule.calls)):
            call, step = self.schedule.calls[index], self._plan.steps[index]
            if self._cache is not None:
                self._cache.enter(index)
            args, kwargs = self._arguments[call.layer]
            if step.sources is not None:
                rows = self.calling.rows[call.layer]
                args, kwargs = picker.pick((args, kwargs), self._plan.indices[step.sources], rows)
            states_CTD = self._plan.given(outputs, step)
            self._note_call(*states_CTD.shape[:2])
            after_CTD = states_of(self.layers[call.layer](states_CTD, *args, **kwargs))
            if step.scales_C is not None:
                after_CTD = scaled(states_CTD, after_CTD, step.scales_C)
            outputs.append(after_CTD)
            if self._keep:
                for node in self._keep.intersection(range(call.start, call.stop)):
                    self.kept[node] = outputs[-1][node - call.start].clone()
            for unused in step.last_uses:
                outputs[unused] = _FREED


class _Stub(StandIn):
    """Tells the executor how its layer is called, and passes on what the executor returns."""

    def __init__(self, layer: nn.Module, index: int, executor: Executor) -> None:
        super().__init__(layer)
        self.index = index
        # The executor owns the stubs: a plain reference back would keep its cache alive.
        self.executor = weakref.proxy(executor)

    def forward(self, hidden_states: Tensor, *args: object, **kwargs: object) -> object:
        """Return the states in the form in which the layer would return them."""
        states = self.executor.visit(self.index, hidden_states, (args, kwargs))
        return as_returned(states, self.executor.calling.n_returned)
