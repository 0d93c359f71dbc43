"""MindSkip: the prompt decides once whose attention runs, and what is skipped is not computed.

Skipping the attention of a layer is no program: its feed-forward part runs. So prompts are answered
one by one, by layers that have gates.

Source: arXiv 2410.13184, sequence level, attention.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from skiploop.policies.alone import AnswersAlone
from skiploop.policies.mindskip.gates import Attentions, ClosingGate, Gates
from skiploop.stack import LayerStack


class MindSkip(AnswersAlone):
    """Answers without the attention of the layers whose gates the prompt closes."""

    def __init__(
        self,
        stack: LayerStack,
        attentions: Attentions,
        gates: Gates,
        *,
        name: str = "mindskip",
    ) -> None:
        super().__init__(stack, name)
        self._attentions = attentions
        self._gates = gates.to(stack.device)

    def weights(self) -> Mapping[str, Tensor]:
        """Return those of the gates."""
        return self._gates.state_dict()

    def way(self, n_prompt: int) -> GatedWay:
        """Return the way of one sequence through the model, given the tokens of its prompt."""
        return GatedWay(self._stack, self._attentions, self._gates, self.threshold, n_prompt)

    @property
    def least_passes(self) -> float:
        """Layer passes that are left without any attention that may be skipped."""
        return self._attentions.least_passes


class GatedWay:
    """The way of one sequence, see `policies.alone.Way`; its gates decide by the prompt.

    Attributes:
        layers: They stand in for those of the model.
    """

    def __init__(
        self,
        stack: LayerStack,
        attentions: Attentions,
        gates: Gates,
        threshold: float,
        n_prompt: int,
    ) -> None:
        self._n_layers = stack.n_layers
        self._share = attentions.share
        self._skipped: set[int] = set()

        def gate(layer: int, attention: nn.Module) -> nn.Module:
            def is_open(states_TE: Tensor) -> bool:
                is_kept = bool(gates.score(layer, states_TE) >= threshold)
                if not is_kept:
                    self._skipped.add(layer)
                return is_kept

            return ClosingGate(attention, attentions.n_returned, n_prompt, is_open)

        self.layers = attentions.gated(gate)

    def n_passes(self) -> float:
        """Return the mean layer passes; attention counts as its share of a layer's weights."""
        return self._n_layers - len(self._skipped) * self._share

    def with_slots(self) -> list[int]:
        """Return the layers whose attention runs."""
        return [layer for layer in range(self._n_layers) if layer not in self._skipped]
