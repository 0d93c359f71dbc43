"""The start that all prompts of one call have in common, computed once per program and layer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from skiploop.engine.batch import Row, common_length, count_cells, number_sources
from skiploop.engine.cache import attends_fully
from skiploop.engine.executor import Executor
from skiploop.engine.schedule import schedule
from skiploop.program import Program
from skiploop.stack import LayerStack

WORTHWHILE = 0.1  # share of all layer-token products that must be saved
MAX_MEMORY = 0.25  # share of the memory budget that the keys and values may take


@dataclass(frozen=True)
class PromptPrefix:
    """The tokens that all prompts start with, run under every program.

    Attributes:
        n_tokens: How many they are.
        executor: Holds their keys and values; one row a program.
        row_of: The row of each program.
    """

    n_tokens: int
    executor: Executor
    row_of: dict[Program, int]


@torch.inference_mode()
def run_prefix(stack: LayerStack, rows: Sequence[Row]) -> PromptPrefix | None:
    """Run what all prompts start with, if that saves work.

    It saves nothing if every program is for one prompt only, where the prefix runs as often as
    without sharing. Rows have different lengths, so padding comes after the prefix, which only
    layers that attend to all tokens can ignore.

    Returns:
        The prefix, or None if it does not pay, does not fit or is not possible.
    """
    firsts, _ = number_sources(rows)
    n_tokens = min(common_length(firsts[0].tokens, row.tokens) for row in firsts)
    n_tokens = min(n_tokens, min(len(row.tokens) for row in firsts) - 1)
    programs = list(dict.fromkeys(row.program for row in rows))
    paths = [program.path for program in programs]
    paths_of: defaultdict[tuple[int, ...], list[tuple[int, ...]]] = defaultdict(list)
    for row in rows:
        paths_of[row.tokens].append(row.program.path)
    cells = {tokens: count_cells(paths) for tokens, paths in paths_of.items()}
    n_cells = count_cells(paths)
    saved = n_tokens * (sum(cells.values()) - n_cells)
    in_all = sum(n * len(tokens) for tokens, n in cells.items())
    n_bytes = n_cells * n_tokens * stack.token_bytes
    if saved < WORTHWHILE * in_all or n_bytes > MAX_MEMORY * stack.memory:
        return None
    if not attends_fully(stack.model):
        return None
    executor = Executor(stack, schedule(paths, [0] * len(paths)), use_cache=True)
    tokens_ST = torch.tensor([rows[0].tokens[:n_tokens]], device=stack.device)
    executor.hidden(tokens_ST, torch.ones_like(tokens_ST))
    return PromptPrefix(n_tokens, executor, {program: row for row, program in enumerate(programs)})
