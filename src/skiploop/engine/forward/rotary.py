"""Rotary tables that depend on how long a row is: LongRoPE and dynamic NTK.

Hugging Face chooses such a table by the longest row of a batch, for all of its rows, and keeps it
on the module. Here rows share a batch only where they have the same table, and a row whose answer
outgrows its table is run again with the next one. So every row is what the plain model makes of it
alone, without a cache.

Source: LongRoPE, arXiv 2402.13753; both as in Hugging Face's `modeling_rope_utils`.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from skiploop.errors import UnsupportedModelError
from skiploop.models.view import graft, shallow_clone

if TYPE_CHECKING:
    from skiploop.stack import LayerStack

_Item = TypeVar("_Item")
_FIRST = "original_"  # how Hugging Face names the first table, beside the current one


class Switch(NamedTuple):
    """A length up to which a rotary module has its first table.

    Attributes:
        module: Dotted path of the module.
        n_tokens: The length.
        factor: By how much longer rows may be, where each length beyond has a table of its own
            (dynamic NTK); None where all of them have the same (LongRoPE).
    """

    module: str
    n_tokens: int
    factor: float | None


def find_switches(model: PreTrainedModel) -> tuple[Switch, ...]:
    """Return where the rotary tables of a model change with the length of a row."""
    return tuple(
        switch for name, module in model.named_modules() for switch in _switches(name, module)
    )


def _switches(name: str, module: nn.Module) -> Iterator[Switch]:
    held = vars(module)
    kinds = held.get("rope_type", ())  # one, or one for each type of layer
    settings = held["config"].rope_parameters if kinds else {}
    for setting in [settings] if isinstance(kinds, str) else [settings[kind] for kind in kinds]:
        if setting["rope_type"] == "longrope":
            yield Switch(name, setting["original_max_position_embeddings"], None)
        elif "dynamic" in setting["rope_type"]:
            yield Switch(name, held["original_max_seq_len"], setting["factor"])


def table_of(stack: LayerStack, n_tokens: int) -> int:
    """Return a length that has the same rotary tables as `n_tokens`: the shortest one.

    Returns:
        1 at any length where tables are fixed, as in most models.
    """
    others = [
        n_tokens if switch.factor else switch.n_tokens + 1
        for switch in stack.rotary_switches
        if n_tokens > switch.n_tokens
    ]
    return max(others, default=1)


def room(stack: LayerStack, n_tokens: int) -> int | None:
    """Return up to which length a row of `n_tokens` keeps its tables; None if at any."""
    ends = [
        max(n_tokens, switch.n_tokens)
        for switch in stack.rotary_switches
        if switch.factor or n_tokens <= switch.n_tokens
    ]
    return min(ends, default=None)


def longest(stack: LayerStack) -> int | None:
    """Return the most tokens that a row may have; None if any number."""
    config = stack.model.config.get_text_config(decoder=True)
    limit: int | None = getattr(config, "max_position_embeddings", None)
    factors = [switch.factor for switch in stack.rotary_switches if switch.factor]
    if limit is None:
        return None
    return int(limit * min(factors, default=1)) - stack.n_reserved_positions


def by_table(
    stack: LayerStack, items: Sequence[_Item], lengths: Sequence[int]
) -> Iterator[tuple[LayerStack, list[_Item]]]:
    """Yield what has the same tables, and the stack with these tables.

    Raises:
        UnsupportedModelError: A layer has a table of its own.
    """
    groups: defaultdict[int, list[_Item]] = defaultdict(list)
    for item, n_tokens in zip(items, lengths, strict=True):
        groups[table_of(stack, n_tokens)].append(item)
    for table, group in sorted(groups.items()):
        yield _with_table(stack, table), group


def _with_table(stack: LayerStack, table: int) -> LayerStack:
    """Return the stack with the tables of one length; itself where tables are fixed."""
    if not stack.rotary_switches:
        return stack
    changed = copy.copy(stack)
    for name in dict.fromkeys(switch.module for switch in stack.rotary_switches):
        if name.startswith(f"{stack.layers_path}."):
            raise UnsupportedModelError(
                f"the layers of {type(stack.model).__name__} have rotary tables of their own, "
                "which depend on the length of the row: use stack.view(program).generate, "
                "one prompt at a time"
            )
        rotary = _Rotary(stack.model.get_submodule(name), table, room(stack, table))
        changed.model = graft(changed.model, name, rotary)
    return changed


class _Rotary(nn.Module):
    """A rotary module that takes the table of one length, however long the rows are.

    It has tables of its own: those of the model are changed by other threads and earlier rows.
    """

    def __init__(self, rotary: nn.Module, table: int, end: int | None) -> None:
        super().__init__()
        self.rotary = own = shallow_clone(rotary)
        own._buffers = {
            name: copy.deepcopy(rotary._buffers.get(_first(name), buffer))
            for name, buffer in rotary._buffers.items()
        }
        for name in [name for name in vars(own) if name.endswith("max_seq_len_cached")]:
            vars(own)[name] = vars(own)["original_max_seq_len"]
        self.last = table - 1
        self.most = None if end is None else end - 1

    def forward(self, x: Tensor, position_ids: Tensor, *args: object, **kwargs: object) -> Any:  # noqa: ANN401  one or two tensors
        """Return what the module returns if one more token stands at the last position."""
        if self.most is not None:
            position_ids = position_ids.clamp(max=self.most)  # of rows that have ended
        last = torch.full_like(position_ids[..., :1], self.last)
        found = self.rotary(x, torch.cat([position_ids, last], dim=-1), *args, **kwargs)
        if isinstance(found, tuple):
            return tuple(part[..., :-1, :] for part in found)
        return found[..., :-1, :]


def _first(name: str) -> str:
    """Return the name of the buffer with the first table, such as `original_inv_freq`."""
    return name if _FIRST in name else name.replace("inv_freq", f"{_FIRST}inv_freq")
