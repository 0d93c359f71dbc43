"""Programs chosen while the prompts run: what chooses is a beginning of what runs afterwards.

The first layers run once for each prompt. Their states say which program goes on, from there or
from the last layer before that all programs share, with the keys and values in the cache.

Shapes: the letters of the engine (docs/reference/shapes.md).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from skiploop.arguments import listed, one_for_each, shown, whole_number
from skiploop.engine.batching.prefix import SharedPrefix, pad_behind
from skiploop.engine.batching.rows import Row, number_sources
from skiploop.engine.cache.slots import PrefixKV
from skiploop.engine.decoding.prefill import FirstPass
from skiploop.engine.forward.executor import Executor
from skiploop.engine.plan.fork import extend
from skiploop.engine.plan.schedule import Schedule, schedule
from skiploop.errors import BatchError, ConfigError, ProgramError
from skiploop.programs.program import Program

if TYPE_CHECKING:
    from skiploop.stack import LayerStack


class ChoosesInPrefill(ABC):
    """Chooses programs while the prompts run.

    Attributes:
        longest: The longest program that may be chosen, by which the memory of a batch is counted;
            None for the plain one.
        shares_start: Whether the choice can begin behind a start that all prompts share.
    """

    longest: Program | None
    shares_start: ClassVar[bool]

    @abstractmethod
    def first_pass(self, stack: LayerStack, rows: Sequence[Row], start: SharedPrefix) -> FirstPass:
        """Run the prompts and drafts of a batch under the programs that are chosen for them.

        Args:
            stack: The model.
            rows: The batch; what they say about programs is not used.
            start: What the prompts start with; nothing unless `shares_start`.

        Returns:
            The batch, its rows with the programs chosen.
        """

    def counted(self, stack: LayerStack) -> Program:
        """Return the program by which the memory of every row is counted before the choice.

        Raises:
            ProgramError: The longest program is for another model.
        """
        return (
            Program.identity(stack.n_layers) if self.longest is None else stack.check(self.longest)
        )


@dataclass(frozen=True)
class PrefillChoice(ChoosesInPrefill):
    """Chooses programs by the states after the first layers of the plain model.

    Programs may change some of these layers, too. Then such a program goes on from the layers that
    all programs share, and what ran beyond them is what the choice costs.

    Attributes:
        layer: How many first layers run before the choice; at least 1.
        choose: Given the numbers of some prompts and their float32 states_TD on the CPU, returns
            one program for each.
        longest: The longest program that may be chosen, by which the memory of a batch is counted;
            None for the plain one.
        n_shared: How many of these layers every program runs once, unchanged; all of them if not
            given.

    Raises:
        ConfigError: `layer` is below 1, `n_shared` is not in 0..`layer`, or an argument is of
            another type.
    """

    layer: int
    choose: Callable[[Sequence[int], Sequence[Tensor]], Sequence[Program]]
    longest: Program | None = None
    n_shared: int | None = None
    shares_start: ClassVar[bool] = True

    def __post_init__(self) -> None:
        layer = whole_number("layer", self.layer, error=ConfigError)
        if layer < 1:
            raise ConfigError(
                f"layer={shown(layer)}: choose after at least one layer, or before the prompts run"
            )
        if self.n_shared is not None:
            n_shared = whole_number("n_shared", self.n_shared, error=ConfigError)
            if not 0 <= n_shared <= layer:
                raise ConfigError(
                    f"n_shared={shown(n_shared)}: give how many of the {layer} layers before the "
                    "choice every program runs unchanged"
                )
        if not callable(self.choose):
            raise ConfigError(f"choose is {shown(self.choose)}: give a function")
        object.__setattr__(self, "layer", layer)

    def counted(self, stack: LayerStack) -> Program:
        """Return the program by which the memory of every row is counted before the choice.

        Raises:
            ConfigError: The model has fewer layers than are to run before the choice.
            ProgramError: The longest program is for another model.
        """
        if self.layer > stack.n_layers:
            raise ConfigError(
                f"layer={shown(self.layer)}: {stack.name} has {stack.n_layers} layers, choose "
                "after one of them"
            )
        return super().counted(stack)

    def first_pass(self, stack: LayerStack, rows: Sequence[Row], start: SharedPrefix) -> FirstPass:
        """Run a batch under the programs that its first layers choose; see `ChoosesInPrefill`.

        Raises:
            ProgramError: A chosen program changes one of the first layers, or is for another model.
        """
        firsts, sources = number_sources(rows)
        plain, n_rows = tuple(range(self.layer)), len(rows)
        # The second half describes the prompts; the first waits where programs begin to differ.
        before = schedule([plain[: self._start]] * n_rows + [plain] * n_rows, [*sources] * 2)
        chosen: list[Row] = []

        def go_on(states_RTD: Tensor) -> tuple[Schedule, list[PrefixKV]] | None:
            if chosen:
                return None
            start_TD = start.states(plain)
            states = [
                torch.cat([start_TD, own_states(states_TD, row, start.n_tokens)]).float().cpu()
                for row, states_TD in zip(rows, states_RTD[n_rows:], strict=True)
            ]
            programs = self.choose([row.index for row in rows], states)
            chosen.extend(self._checked(stack, rows, programs))
            paths = [row.program.layer_inputs for row in chosen]
            is_plain = np.array([path[: self.layer] == plain for path in paths])
            leaves = np.where(is_plain, before.leaves[n_rows:], before.leaves[:n_rows])
            rests = [
                path[self.layer if so_far else self._start :]
                for path, so_far in zip(paths, is_plain, strict=True)
            ]
            after = extend(replace(before, leaves=leaves), rests)
            new_calls = after.calls[len(before.calls) :]
            return after, start.prefixes(new_calls, after.beginnings)

        prefixes = start.prefixes(before.calls, before.beginnings)
        executor = Executor(stack, before, use_cache=True, prefixes=prefixes)
        own = [(row.tokens + row.draft)[start.n_tokens :] for row in firsts]
        tokens_ST, mask_SK = pad_behind(prefixes, own, stack.device)
        states_RTD = executor.hidden(tokens_ST, mask_SK, then=go_on)
        return FirstPass(stack, chosen, executor, states_RTD, mask_SK[sources], is_complete=True)

    @property
    def _start(self) -> int:
        """How many first layers programs share."""
        return self.layer if self.n_shared is None else self.n_shared

    def _checked(self, stack: LayerStack, rows: Sequence[Row], programs: object) -> list[Row]:
        """Return the rows with the programs chosen for them, which have to be possible ones."""
        found = listed("what was chosen", programs, of="programs")
        one_for_each(rows, "chosen programs", found)
        checked = list(map(stack.check, found))
        for program in checked:
            if program.layer_inputs[: self._start] != tuple(range(self._start)):
                raise ProgramError(
                    f"program {program} was chosen among programs that share their first "
                    f"{self._start} layers but changes one of them: say that fewer are shared, "
                    "or choose among programs that change later layers"
                )
        return with_programs(stack, rows, checked)


def own_states(states_TD: Tensor, row: Row, n_shared: int) -> Tensor:
    """Return the states of a prompt after its first tokens, without padding and draft."""
    stop = len(states_TD) - len(row.draft)
    return states_TD[stop - len(row.tokens) + n_shared : stop]


def with_programs(stack: LayerStack, rows: Sequence[Row], programs: Sequence[Program]) -> list[Row]:
    """Return rows with the programs chosen for them, and the memory that these take.

    Raises:
        BatchError: They take more memory than the longest program that was to be chosen.
    """
    chosen = []
    for row, program in zip(rows, programs, strict=True):
        n_bytes = row.n_bytes // row.program.n_slots * program.n_slots
        chosen.append(replace(row, program=program, n_bytes=n_bytes))
    n_bytes = sum(row.n_bytes for row in chosen)
    if n_bytes > stack.memory // 2:
        longest = max((row.program for row in chosen), key=lambda program: program.n_slots)
        raise BatchError(
            f"the programs chosen for {len(rows)} rows need {n_bytes:,} bytes of keys and values, "
            f"but one batch has {stack.memory // 2:,}: say before that programs as long as "
            f"{longest} may be chosen, with PrefillChoice(..., longest=...)"
        )
    return chosen
