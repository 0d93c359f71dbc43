"""What a model's name stands for: a program, or what chooses one for each prompt."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from torch import Tensor

from skiploop.arguments import shown
from skiploop.engine.decoding.prefill_choice import PrefillChoice
from skiploop.errors import ConfigError, ProgramError, closest, one_line
from skiploop.policies.base import Policy
from skiploop.policies.why import Considered, Why
from skiploop.programs.program import Program
from skiploop.server.errors import ApiError, wrong
from skiploop.stack import LayerStack
from skiploop.tasks.prompt_form import PromptForm

AUTO = "auto"
_IDENTITY = "identity"


class Chooser(Policy, Protocol):
    """A policy that can be served.

    Attributes:
        form: How questions were put that it learned from; None if nobody noted that.
    """

    form: PromptForm | None

    def during_prefill(self, k: int = 1) -> PrefillChoice:
        """Return the same choice made while prompts run; ConfigError if it needs more of them."""

    def why(self, prompt: str) -> Why:
        """Return why it chooses what it chooses."""


class Variant(ABC):
    """One way to run the model.

    The thread that owns the model calls all methods.

    Attributes:
        name: As `model` names it in requests.
        policy: What chooses; None where nothing is chosen.
    """

    name: str
    policy: Chooser | None = None

    @abstractmethod
    def program(self, prompt: str) -> Program | PrefillChoice:
        """Return what a prompt runs, or what chooses that while the prompt runs."""

    @abstractmethod
    def why(self, prompt: str) -> Why:
        """Return what would be chosen for a prompt, and why."""

    def chosen_in(self, number: int) -> float:
        """Return the seconds that the choice of a started job took; it is asked once."""
        return 0.0


class FixedVariant(Variant):
    """Runs every prompt under one program."""

    def __init__(self, name: str, program: Program) -> None:
        self.name = name
        self._program = program

    def program(self, prompt: str) -> Program:
        """Return the program."""
        return self._program

    def why(self, prompt: str) -> Why:
        """Return the program: it was asked for."""
        return Why(considered=(Considered(program=self._program),))


class RankingVariant(Variant):
    """Chooses before a prompt runs."""

    def __init__(self, name: str, policy: Chooser) -> None:
        self.name = name
        self.policy: Chooser = policy

    def program(self, prompt: str) -> Program:
        """Return the program that the policy ranks first."""
        return self.policy.rank([prompt], 1)[0][0]

    def why(self, prompt: str) -> Why:
        """Return why the policy chooses it."""
        return self.policy.why(prompt)


class PrefillVariant(RankingVariant):
    """Chooses while a prompt runs, by layers that it runs anyway."""

    def __init__(self, name: str, policy: Chooser, choice: PrefillChoice) -> None:
        super().__init__(name, policy)
        self._choose = choice.choose
        self._seconds: dict[int, float] = {}
        self._choice = replace(choice, choose=self._timed)

    def program(self, prompt: str) -> PrefillChoice:  # type: ignore[override]
        """Return what chooses."""
        return self._choice

    def chosen_in(self, number: int) -> float:
        """Return the seconds that the choice took beside the layers."""
        return self._seconds.pop(number, 0.0)

    def _timed(self, numbers: Sequence[int], states: Sequence[Tensor]) -> Sequence[Program]:
        started = time.perf_counter()
        programs = self._choose(numbers, states)
        each = (time.perf_counter() - started) / len(numbers)
        self._seconds.update(dict.fromkeys(numbers, each))
        return programs


def policy_variant(name: str, policy: Chooser) -> Variant:
    """Return a policy as a variant; it chooses while prompts run, if it can."""
    try:
        return PrefillVariant(name, policy, policy.during_prefill())
    except ConfigError:
        return RankingVariant(name, policy)


class Catalogue:
    """All variants of one model, and which one a request means.

    Args:
        stack: The model.
        model: Its name in requests.
        policies: What chooses, by the names in requests; `auto` is the first one.
        default: The text of a program, which requests get that name none; without it the first
            policy is that, or else the identity.
        max_slots: Most layer passes of a program.

    Raises:
        ProgramError: The default is no program of the model.
    """

    def __init__(
        self,
        stack: LayerStack,
        model: str,
        policies: Mapping[str, Chooser],
        *,
        default: str | None,
        max_slots: int,
    ) -> None:
        self.model = model
        self.n_layers = stack.n_layers
        self._max_slots = max_slots
        self._policies = {name: policy_variant(name, each) for name, each in policies.items()}
        self._auto = {f"{model}:{AUTO}": variant for variant in list(self._policies.values())[:1]}
        plain = FixedVariant(f"{model}:{_IDENTITY}", Program.identity(stack.n_layers))
        self._default: Variant = plain
        if default is not None:
            program = Program.parse(default, stack.n_layers)
            self._default = FixedVariant(f"{model}:{program}", program)
        elif self._policies:
            self._default = next(iter(self._policies.values()))
        self._named = {
            model: self._default,
            **self._auto,
            plain.name: plain,
            self._default.name: self._default,
            **self._policies,
        }

    @property
    def names(self) -> list[str]:
        """The names that are listed; `model:PROGRAM` works with every program."""
        return list(self._named)

    def variant(self, model: str | None, program: str | None) -> Variant:
        """Return what a request means.

        Raises:
            ApiError: There is no such model or program, or both fields name a program.
        """
        name = self.model if model is None else model
        if program is not None:
            if name != self.model:
                raise wrong(
                    "program",
                    f"program is {program!r} and model is {name!r}: give the program in one of "
                    f"them, with model {self.model!r}",
                )
            return self._fixed(program, "program")
        if name in self._named:
            return self._named[name]
        prefix, _, text = name.partition(f"{self.model}:")
        if prefix or not text or text == AUTO:
            raise self.unknown(name)
        return self._fixed(text, "model")

    def unknown(self, name: str) -> ApiError:
        """Return the error for a model that is not there."""
        return ApiError(
            404,
            f"there is no model {shown(name)} here: {closest(name, self.names)}"
            f"known are {', '.join(self.names)} and {self.model}:PROGRAM",
            param="model",
            code="model_not_found",
        )

    def _fixed(self, text: str, param: str) -> FixedVariant:
        try:
            program = Program.parse(text, self.n_layers)
        except ProgramError as error:
            raise wrong(param, one_line(error)) from error
        if program.n_slots > self._max_slots:
            raise wrong(
                param,
                f"program {program} has {program.n_slots} layer passes: this server takes "
                f"{self._max_slots} at most",
            )
        return FixedVariant(f"{self.model}:{program}", program)
