"""The tokens that all prompts start with, run once for every beginning of a path.

A batch of the tokens after them needs their keys and values at the passes that it runs itself. What
earlier batches have left is used; what is missing is run before the batch, as nodes of one more
token sequence.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from skiploop.engine.batching.rows import Row, call_tokens, pad_left
from skiploop.engine.cache.arena import in_pages
from skiploop.engine.cache.slots import PrefixKV
from skiploop.engine.cache.states import StateCache, Tokens
from skiploop.engine.forward.executor import Executor
from skiploop.engine.plan.beginnings import common_length, count_nodes
from skiploop.engine.plan.indices import on_device
from skiploop.engine.plan.schedule import Beginnings, Call, Passes, schedule

if TYPE_CHECKING:
    from skiploop.stack import LayerStack

KeysValues = tuple[Tensor, ...]


class SharedPrefix:
    """What the prompts of a call start with, under any program.

    Attributes:
        n_tokens: Its length; 0 if nothing is shared.
    """

    def __init__(self, stack: LayerStack, saved: StateCache) -> None:
        self._stack = stack
        self._saved = saved
        self._tokens = saved.start or ()
        self.n_tokens = len(self._tokens)

    def begins(self, tokens: Tokens) -> bool:
        """Whether a prompt starts so, and goes on."""
        return len(tokens) > self.n_tokens and tokens[: self.n_tokens] == self._tokens

    def groups(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """Yield rows in groups whose programs are neighbors in the order of their paths.

        What a group needs of the start fits into memory, once what was there is forgotten.
        """
        states_bytes = in_pages(self.n_tokens * self._stack.width * self._stack.dtype.itemsize)
        stride = self._stack.tuning.state_stride
        node_bytes = in_pages(self.n_tokens * self._stack.token_bytes) + states_bytes // stride
        group: list[Row] = []
        n_bytes = 0
        last: Passes = ()
        for row in sorted(rows, key=lambda row: row.program.layer_inputs):
            path = row.program.layer_inputs
            n_bytes += (len(path) - common_length(last, path)) * node_bytes
            if group and path != last and n_bytes > self._saved.safe_bytes:
                yield group
                group, n_bytes = [], len(path) * node_bytes
            group.append(row)
            last = path
        if group:
            yield group

    def forget(self) -> None:
        """Make room for another group."""
        self._saved.clear()

    def states(self, passes: Passes) -> Tensor:
        """Return states_TD of the start after some layer passes; no rows without a start."""
        if not self.n_tokens:
            stack = self._stack
            return torch.empty(0, stack.width, dtype=stack.dtype, device=stack.device)
        n_known, states_TD = self._saved.longest(self._tokens, passes)
        if states_TD is not None and n_known == len(passes):
            return states_TD
        executor = Executor(self._stack, schedule([passes[n_known:]]), use_cache=False)
        tokens_ST = torch.tensor([self._tokens], device=self._stack.device)
        starts = {} if states_TD is None else {0: states_TD}
        return executor.hidden(tokens_ST, torch.ones_like(tokens_ST), starts=starts)[0]

    def prefixes(self, calls: Sequence[Call], passes_of: Beginnings) -> list[PrefixKV]:
        """Return the keys and values of the start for some calls; none without a start."""
        if not self.n_tokens:
            return []
        numbers, places = [], []
        for call in calls:
            found = passes_of.numbers[call.start : call.stop]
            different, place = np.unique(found, return_inverse=True)
            numbers.append(different.tolist())
            places.append(place)
        distinct = passes_of.distinct
        known = self._keys_values({distinct[number] for some in numbers for number in some})
        prefixes = []
        for some, entries in zip(numbers, on_device(places, self._stack.device), strict=True):
            keys, values = zip(*(known[distinct[number]] for number in some), strict=True)
            prefixes.append(PrefixKV(torch.stack(keys), torch.stack(values), entries))
        return prefixes

    def _keys_values(self, wanted: Collection[Passes]) -> dict[Passes, KeysValues]:
        """Return keys and values of the start after some beginnings of paths."""
        found = {passes: self._saved.keys_values(passes) for passes in wanted}
        known = {passes: held for passes, held in found.items() if held is not None}
        return known | self._run(found.keys() - known.keys())

    def _run(self, missing: Collection[Passes]) -> dict[Passes, KeysValues]:
        """Run the start to some beginnings of paths, from wherever is known."""
        ordered = sorted(missing)
        paths = [
            path
            for path, following in itertools.pairwise([*ordered, ()])
            if following[: len(path)] != path
        ]
        if not paths:
            return {}
        numbers: dict[Passes, int] = {}
        starts: dict[int, Tensor] = {}
        sources, n_known = [], []
        for path in paths:
            first_missing = next(n for n in range(1, len(path) + 1) if path[:n] in missing)
            n_passes, states_TD = self._saved.longest(self._tokens, path, first_missing - 1)
            sources.append(numbers.setdefault(path[:n_passes], len(numbers)))
            n_known.append(n_passes)
            if states_TD is not None:
                starts[sources[-1]] = states_TD
        rests = [path[n:] for path, n in zip(paths, n_known, strict=True)]
        executor = Executor(self._stack, schedule(rests, sources), use_cache=True)
        passes_of = executor.schedule.beginnings_after(list(numbers))
        nodes = range(executor.schedule.n_sources, len(executor.schedule.sources))
        keep = [node for node in nodes if self._saved.takes(passes_of.of(node))]
        tokens_ST = torch.tensor([self._tokens] * len(numbers), device=self._stack.device)
        executor.hidden(tokens_ST, torch.ones_like(tokens_ST), starts=starts, keep=keep)
        known: dict[Passes, KeysValues] = {}
        for node, keys_values in executor.keys_values():
            known[passes_of.of(node)] = keys_values
            self._saved.add_keys_values(passes_of.of(node), keys_values)
        for node, states_TD in executor.kept.items():
            self._saved.add(self._tokens, passes_of.of(node), states_TD)
        return known


def shared_prefix(
    stack: LayerStack, rows: Sequence[Row], saved: StateCache | None, n_kept: int = 0
) -> SharedPrefix:
    """Return what some prompts start with, or an empty start where sharing it would not help.

    The first call with `saved` decides for those after it.

    Prompts have different lengths, so padding comes after their start, which only layers that
    attend to all tokens can ignore.

    Args:
        stack: The model.
        rows: All rows of a call.
        saved: What earlier calls have left, if later ones are to be helped.
        n_kept: How many starts without `saved` are known to later calls and share the memory for
            them; what they take is then not counted. 0 for one that is of this call alone.
    """
    start, distinct = rows[0].tokens[:-1], {row.tokens for row in rows}
    for tokens in distinct:
        start = start[: common_length(start, tokens[:-1])]
    if not shares_prefixes(stack):
        start = ()
    if saved is None:
        n_bytes = int(stack.tuning.prefix_memory * stack.memory / max(n_kept, 1))
        saved = StateCache(n_bytes, stack.tuning)
        start = start if _pays(stack, rows, len(start), is_kept=n_kept > 0) else ()
    elif saved.start is None:
        # No layer call of the start may take longer than its tokens once for each prompt.
        start = start if len(start) * len(distinct) >= call_tokens(stack) else ()
    saved.narrow(start)
    return SharedPrefix(stack, saved)


def pad_behind(
    prefixes: Sequence[PrefixKV], rows: Sequence[Tokens], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return tokens_ST and mask_SK as `pad_left` does, the mask with the prefix of all rows."""
    tokens_ST, mask_ST = pad_left(rows, device)
    n_before = prefixes[0].keys.shape[-2] if prefixes else 0
    return tokens_ST, torch.nn.functional.pad(mask_ST, (n_before, 0), value=1)


def no_prefix(stack: LayerStack) -> SharedPrefix:
    """Return an empty start, for rows that are to share none."""
    return SharedPrefix(stack, StateCache(0))


def shares_prefixes(stack: LayerStack) -> bool:
    """Whether prompts can share their start: padding comes after it, and rows do not run alone."""
    return not stack.exact and stack.attends_fully


def _pays(stack: LayerStack, rows: Sequence[Row], n_tokens: int, *, is_kept: bool) -> bool:
    """Whether one call runs much less if so many tokens are shared.

    Not if every program is for one prompt only, where the start runs as often as without sharing.
    A start that is not kept takes layer calls of its own, at least those of the longest path: on a
    GPU they may take longer than the tokens that they save.
    """
    paths_of: dict[Tokens, list[Passes]] = {}
    for row in rows:
        paths_of.setdefault(row.tokens, []).append(row.program.layer_inputs)
    nodes = {tokens: count_nodes(paths) for tokens, paths in paths_of.items()}
    n_once = count_nodes([row.program.layer_inputs for row in rows])
    in_all = sum(n * len(tokens) for tokens, n in nodes.items())
    n_calls = 0 if is_kept else max(row.program.n_slots for row in rows)
    least = max(stack.tuning.prefix_saves * in_all, n_calls * call_tokens(stack))
    return n_tokens * (sum(nodes.values()) - n_once) >= least
