"""Which prompts of a call to take together: those that start alike, in batches that fit.

Prompts of one kind start with the same solved questions, those of another kind with others. A call
with several kinds is taken apart where its parts share more than the whole does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from skiploop.engine.batching.prefix import SharedPrefix, shared_prefix, shares_prefixes
from skiploop.engine.batching.rows import Row, call_tokens, split
from skiploop.engine.cache.states import Tokens
from skiploop.engine.plan.beginnings import common_length, count_nodes

if TYPE_CHECKING:
    from skiploop.stack import LayerStack


class _Prompt(NamedTuple):
    """Rows with the same tokens, and the layer passes that they have between them."""

    tokens: Tokens
    rows: list[Row]
    n_nodes: int


class _Parts(NamedTuple):
    """Parts of a call, and the layer-token products that their starts save."""

    parts: list[list[_Prompt]]
    n_saved: int


def batches(stack: LayerStack, rows: Sequence[Row]) -> Iterator[tuple[list[Row], SharedPrefix]]:
    """Yield rows in batches, each with what its prompts start with, which runs once for all."""
    for part in alike(stack, rows):
        start = shared_prefix(stack, part, saved=None)
        for batch in in_batches(stack, start, part):
            yield batch, start


def in_batches(
    stack: LayerStack, start: SharedPrefix, rows: Sequence[Row], *, n_passes: int = 1
) -> Iterator[list[Row]]:
    """Yield rows that start alike in batches that fit, those with neighboring programs together."""
    for number, group in enumerate(start.groups(rows)):
        if number:
            start.forget()
        yield from split(stack, group, n_passes=n_passes, n_shared=start.n_tokens)


def alike(stack: LayerStack, rows: Sequence[Row]) -> list[list[Row]]:
    """Return rows in parts whose prompts start with the same tokens.

    Where the model cannot share the start of prompts, all rows are one part.

    Cost:
        Sorting the rows, and counting the beginnings of their paths for each cut that is tried.
    """
    if not shares_prefixes(stack):
        return [list(rows)]
    by_tokens: dict[Tokens, list[Row]] = {}
    for row in rows:
        by_tokens.setdefault(row.tokens, []).append(row)
    prompts = [
        _Prompt(tokens, found, count_nodes([row.program.layer_inputs for row in found]))
        for tokens, found in sorted(by_tokens.items())
    ]
    n_calls = 2 * max(row.program.n_slots for row in rows)  # of a start, and of what follows it
    least = n_calls * call_tokens(stack)
    return [[row for prompt in part for row in prompt.rows] for part in _cut(prompts, least).parts]


def _cut(prompts: list[_Prompt], least: float) -> _Parts:
    """Cut sorted prompts after their common start, where each part saves at least so much."""
    n_common = common_length(prompts[0].tokens[:-1], prompts[-1].tokens[:-1])
    parts: list[list[_Prompt]] = []
    others: list[_Prompt] = []
    n_saved = 0
    for _, found in groupby(prompts, key=lambda prompt: prompt.tokens[n_common]):
        child = list(found)
        n_lost = n_common * sum(prompt.n_nodes for prompt in child)  # by leaving the others
        may_pay = len(child) < len(prompts) and _most_saved(child) - n_lost >= least
        cut = _cut(child, least) if may_pay else _Parts([child], 0)
        if cut.n_saved - n_lost < least * len(cut.parts):
            others += child
        else:
            parts += cut.parts
            n_saved += cut.n_saved
    if others:
        parts.append(others)
        n_saved += n_common * _n_repeated(others)
    return _Parts(parts, n_saved)


def _most_saved(prompts: Sequence[_Prompt]) -> int:
    """Return the layer-token products that prompts would save if their tokens were the same."""
    return max(len(prompt.tokens) for prompt in prompts) * _n_repeated(prompts)


def _n_repeated(prompts: Sequence[_Prompt]) -> int:
    """Return the layer passes of prompts that other prompts have, too."""
    paths = {row.program.layer_inputs for prompt in prompts for row in prompt.rows}
    return sum(prompt.n_nodes for prompt in prompts) - count_nodes(list(paths))
