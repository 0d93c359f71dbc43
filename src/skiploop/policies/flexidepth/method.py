"""FlexiDepth: every token decides before each layer of the second half whether it runs it.

That is no program: tokens of one prompt differ. So prompts are answered one by one, by layers that
tokens skip.

Source: arXiv 2503.23798.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from skiploop.models.size import n_weights
from skiploop.policies.alone import AnswersAlone
from skiploop.policies.flexidepth.layers import SkippingLayer, check_family
from skiploop.policies.flexidepth.network import Skippers
from skiploop.stack import LayerStack


class FlexiDepth(AnswersAlone):
    """Answers while tokens skip layers.

    Raises:
        UnsupportedModelError: Tokens cannot skip the layers of the family.
    """

    def __init__(self, stack: LayerStack, skippers: Skippers, *, name: str = "flexidepth") -> None:
        check_family(stack)
        super().__init__(stack, name)
        self._skippers = skippers

    def weights(self) -> Mapping[str, Tensor]:
        """Return those of routers and adapters."""
        return self._skippers.weights()

    def way(self, n_prompt: int = 0) -> FlexibleWay:
        """Return the way of one sequence through the model; prompt and answer skip alike."""
        return FlexibleWay(self._stack, self._skippers, self.threshold)

    @property
    def least_passes(self) -> float:
        """Layer passes of a token that skips all that it may."""
        return self.way().least_passes


class FlexibleWay:
    """The way of one sequence, see `policies.alone.Way`.

    Attributes:
        layers: They stand in for those of the model.
        skipping: Those of them that tokens skip.
    """

    def __init__(self, stack: LayerStack, skippers: Skippers, threshold: float) -> None:
        layers: list[nn.Module] = list(stack.layers)
        self.skipping: list[SkippingLayer] = []
        self._left: list[float] = []
        for index, router in skippers.routers.items():
            adapter = skippers.adapters[index]
            self._left.append(_share_met(layers[index], router, adapter))
            self.skipping.append(SkippingLayer(layers[index], router, adapter, threshold))
            layers[index] = self.skipping[-1]
        self.layers = nn.ModuleList(layers)

    @property
    def least_passes(self) -> float:
        """Layer passes of a token that skips all that it may."""
        return len(self.layers) - sum(1 - left for left in self._left)

    def n_passes(self) -> float:
        """Return the mean layer passes of the tokens so far.

        A skipped layer counts as the weights that take its place, with those of keys and values.
        """
        saved = sum(
            (1 - left) * (1 - layer.n_run / max(layer.n_tokens, 1))
            for layer, left in zip(self.skipping, self._left, strict=True)
        )
        return len(self.layers) - saved

    def with_slots(self) -> Sequence[int]:
        """Return all layers: tokens that skip one leave keys and values there."""
        return range(len(self.layers))


def _share_met(layer: nn.Module, router: nn.Module, adapter: nn.Module) -> float:
    """Return the weights that a token meets where it skips a layer, as a share of the layer's."""
    attention = layer.get_submodule("self_attn")
    met = [attention.get_submodule("k_proj"), attention.get_submodule("v_proj"), router, adapter]
    return sum(map(n_weights, met)) / n_weights(layer)
