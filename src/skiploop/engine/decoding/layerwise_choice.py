"""Programs chosen layer by layer while the prompts run: each layer by the states that it is given.

Nothing runs twice: when the last layer has been decided on, the prompts have run under the programs
that were chosen, and their keys and values are in the cache.

Shapes: the letters of the engine (docs/reference/shapes.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from skiploop.arguments import shown, whole_numbers
from skiploop.engine.batching.prefix import SharedPrefix
from skiploop.engine.batching.rows import Row, number_sources, pad_left
from skiploop.engine.cache.slots import PrefixKV
from skiploop.engine.decoding.prefill import FirstPass
from skiploop.engine.decoding.prefill_choice import ChoosesInPrefill, own_states, with_programs
from skiploop.engine.forward.executor import Executor
from skiploop.engine.plan.fork import extend
from skiploop.engine.plan.schedule import Schedule, schedule
from skiploop.errors import BatchError, ConfigError
from skiploop.programs.program import Program
from skiploop.programs.segment import Segment

if TYPE_CHECKING:
    from skiploop.stack import LayerStack

Decide = Callable[[int, Sequence[int], Sequence[Tensor]], Sequence[int]]


@dataclass(frozen=True)
class LayerwiseChoice(ChoosesInPrefill):
    """Decides of one layer after the other how often it runs, by the states that it is given.

    Attributes:
        decide: Given a layer, the numbers of some prompts and the float32 states_TD of each before
            that layer, where the model is, returns how often the layer runs for each.
        longest: The longest program that may come of it, by which the memory of a batch is counted;
            None for the plain one.

    Raises:
        ConfigError: `decide` is no function.
    """

    decide: Decide
    longest: Program | None = None
    shares_start: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not callable(self.decide):
            raise ConfigError(f"decide is {shown(self.decide)}: give a function")

    def first_pass(self, stack: LayerStack, rows: Sequence[Row], start: SharedPrefix) -> FirstPass:
        """Run a batch under the programs that its layers choose; see `ChoosesInPrefill`.

        Raises:
            BatchError: What was decided is no number of runs for each prompt.
            ProgramError: All layers of a prompt are skipped.
        """
        firsts, sources = number_sources(rows)
        now = schedule([()] * len(rows), sources)
        runs: list[list[int]] = []  # by layer

        def go_on(states_RTD: Tensor) -> tuple[Schedule, list[PrefixKV]] | None:
            nonlocal now
            layer = len(runs)
            if layer == stack.n_layers:
                return None
            runs.append(self._decided(layer, rows, states_RTD))
            now = extend(now, [(layer,) * n for n in runs[layer]])
            return now, []

        executor = Executor(stack, now, use_cache=True)
        tokens = [row.tokens + row.draft for row in firsts]
        tokens_ST, mask_SK = pad_left(tokens, stack.device)
        states_RTD = executor.hidden(tokens_ST, mask_SK, then=go_on)
        programs = [_program(by_layer) for by_layer in zip(*runs, strict=True)]
        chosen = with_programs(stack, rows, programs)
        return FirstPass(stack, chosen, executor, states_RTD, mask_SK[sources], is_complete=True)

    def _decided(self, layer: int, rows: Sequence[Row], states_RTD: Tensor) -> list[int]:
        """Return how often a layer runs for each row."""
        states = [
            own_states(states_TD, row, 0).float()
            for row, states_TD in zip(rows, states_RTD, strict=True)
        ]
        found = self.decide(layer, [row.index for row in rows], states)
        decided = whole_numbers(f"runs of layer {layer}", found)
        if len(decided) != len(rows) or min(decided) < 0:
            raise BatchError(
                f"what was decided of layer {layer} is {shown(decided)}: give a number of runs, 0 "
                f"or more, for each of {len(rows)} prompts"
            )
        return list(decided)


def _program(runs: Sequence[int]) -> Program:
    """Return the program in which each layer runs so often."""
    segments = [Segment(layer, layer + 1, n) for layer, n in enumerate(runs)]
    return Program.from_segments(segments, len(runs))
