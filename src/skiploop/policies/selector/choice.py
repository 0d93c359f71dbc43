"""Chooses from a menu the program with the highest expected score.

Shapes: the letters of learning (docs/reference/shapes.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from skiploop.arguments import texts, whole_number
from skiploop.engine.decoding.prefill_choice import PrefillChoice
from skiploop.errors import ConfigError
from skiploop.menus.menu import Menu
from skiploop.policies.encoders import LayerStates, PromptEncoder
from skiploop.policies.selector.categories import KnownCategories
from skiploop.policies.selector.gate import Gate
from skiploop.policies.selector.kernel import KernelRidge
from skiploop.policies.why import Considered, Why
from skiploop.programs.program import Program
from skiploop.tasks.prompt_form import PromptForm


class PromptFeatures:
    """What a selector sees of a prompt."""

    def __init__(self, encoder: PromptEncoder) -> None:
        self.encoder = encoder
        self._known: dict[str, Tensor] = {}

    def of(self, prompts: Sequence[str]) -> Tensor:
        """Return features_QF: the state of the last token of each prompt, and the mean of all."""
        if not prompts:
            return torch.empty(0, 2 * self.encoder.width)
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._known]
        encoded = dict(zip(new, map(_pooled, self.encoder.encode(new)), strict=True))
        known = self._known | encoded if len(new) < len(prompts) else encoded
        return torch.stack([known[prompt] for prompt in prompts])

    def remember(self, prompts: Sequence[str]) -> None:
        """Encode prompts that several policies will be asked about, once for all of them."""
        distinct = list(dict.fromkeys(prompts))
        self._known = dict(zip(distinct, self.of(distinct), strict=True))

    def forget(self) -> None:
        """Encode every prompt anew from now on."""
        self._known = {}


def _pooled(states_TE: Tensor) -> Tensor:
    return torch.cat([states_TE[-1], states_TE.mean(0)])


class MenuChoice:
    """Chooses programs from a menu by what they did on similar questions.

    The identity comes first where no question is similar, see `KernelRidge.look`, and where none
    is of the same category, see `KnownCategories`.

    Args:
        menu: The programs, the identity first.
        features: Of prompts.
        model: Expects a score from every program.
        categories: Those that were learned from.
        gate: When a program takes the place of the identity.
        name: Name in tables.
        form: How questions are put for it; None where it is only given whole prompts.
    """

    def __init__(
        self,
        menu: Menu,
        features: PromptFeatures,
        model: KernelRidge,
        categories: KnownCategories,
        gate: Gate,
        name: str,
        form: PromptForm | None = None,
    ) -> None:
        self.menu = menu
        self.features = features
        self.model = model
        self.categories = categories
        self.gate = gate
        self.name = name
        self.form = form
        self.slots_P = slots_of(menu.programs)

    def expected(self, prompts: Sequence[str]) -> Tensor:
        """Return score_QP that is expected of each program of the menu, whatever the gate keeps."""
        return self.model.predict(self.features.of(texts("prompts", prompts)))

    def rank(self, prompts: Sequence[str], k: int) -> list[list[Program]]:
        """Return the best `k` programs of the menu for each prompt, the best first.

        Cost:
            The first layers of the model, or the text encoder, for each prompt, and `Q * F`
            multiplications.
        """
        k = whole_number("k", k, at_least=1, error=ConfigError)
        prompts = texts("prompts", prompts)
        return self._rank(self.features.of(prompts), k) if prompts else []

    def why(self, prompt: str) -> Why:
        """Return what is expected of every program of the menu for one prompt."""
        features_QF = self.features.of(texts("prompts", [prompt]))
        score_QP, far_Q = self._look(features_QF)
        scores = score_QP[0].tolist()
        utilities = self.gate.utility(score_QP, self.slots_P, far_Q)[0].tolist()
        columns = zip(self.menu.programs, scores, self.calibrated(scores), utilities, strict=True)
        best_first = sorted(columns, key=lambda column: -column[-1])
        return Why(
            considered=tuple(
                Considered(program=program, score=score, calibrated=calibrated, utility=utility)
                for program, score, calibrated, utility in best_first
            ),
            margin=self.gate.margin,
            layer_cost=self.gate.layer_cost,
            is_far=bool(far_Q[0]),
        )

    def calibrated(self, scores: Sequence[float]) -> list[float | None]:
        """Return what programs scored of which as much was expected: here nobody counted."""
        return [None for _ in scores]

    def during_prefill(self, k: int = 1) -> PrefillChoice:
        """Return the same choice made while the prompts run, for `LayerStack.generate`.

        Of the layers that describe a prompt, those that all programs share are not run again, and
        none is where the choice changes none of them.

        Args:
            k: Prompts come `k` times in a row each and get the best `k` programs.

        Raises:
            ConfigError: Prompts are described by something else than layers of the model, or the
                menu has fewer than `k` programs.
        """
        k = whole_number("k", k, error=ConfigError)
        if not 1 <= k <= len(self.menu.programs):
            raise ConfigError(f"the menu has {len(self.menu.programs)} programs, not {k}")
        encoder = self.features.encoder
        if not isinstance(encoder, LayerStates):
            raise ConfigError(
                f"prompts are described by {encoder.spec}, not by layers of the model: use rank(), "
                "or train without a text encoder"
            )

        def choose(numbers: Sequence[int], states: Sequence[Tensor]) -> list[Program]:
            by_prompt = {n // k: states_TD for n, states_TD in zip(numbers, states, strict=True)}
            features = [_pooled(encoder.encoding(states_TD)) for states_TD in by_prompt.values()]
            ranked = dict(zip(by_prompt, self._rank(torch.stack(features), k), strict=True))
            return [ranked[number // k][number % k] for number in numbers]

        longest = max(self.menu.programs, key=lambda program: program.n_slots)
        n_shared = min(encoder.layer, first_change(self.menu))
        return PrefillChoice(encoder.layer, choose, longest, n_shared)

    def _look(self, features_QF: Tensor) -> tuple[Tensor, Tensor]:
        """Return the expected score_QP, and far_Q, the questions of another sort."""
        score_QP, far_Q = self.model.look(features_QF)
        return score_QP, far_Q | self.categories.lack(features_QF)

    def _rank(self, features_QF: Tensor, k: int) -> list[list[Program]]:
        score_QP, far_Q = self._look(features_QF)
        utility_QP = self.gate.utility(score_QP, self.slots_P, far_Q)
        best_QK = utility_QP.argsort(dim=1, descending=True, stable=True)[:, :k]
        return [[self.menu.programs[column] for column in row] for row in best_QK.tolist()]


def slots_of(programs: Sequence[Program]) -> Tensor:
    """Return slots_P, the layer passes of some programs."""
    return torch.tensor([float(program.n_slots) for program in programs])


def first_change(menu: Menu) -> int:
    """Return how many first layers all programs of a menu run once."""
    return min(program.edits[0].start for program in menu.programs if program.edits)
