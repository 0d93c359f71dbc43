"""Dr.LLM as a policy: the layers run while the routers decide, and the prompt decides once.

Shapes: the letters of learning (docs/reference/shapes.md).

Source: arXiv 2510.12773, section 3. Its released code decides again for every token and applies the
first row's decision to the whole batch; here every prompt decides for itself, as in the paper.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from skiploop.arguments import texts, whole_number
from skiploop.engine.decoding.layerwise_choice import LayerwiseChoice
from skiploop.errors import ConfigError
from skiploop.policies.drllm.network import N_ACTIONS, Routers, padded_windows, window_means
from skiploop.programs.program import Program
from skiploop.programs.segment import Segment
from skiploop.stack import LayerStack


class RouterPolicy:
    """Lets a router before each layer decide how often the layer runs."""

    def __init__(self, stack: LayerStack, routers: Routers, name: str = "drllm") -> None:
        self.name = name
        self.routers = routers.to(stack.device).eval()
        self._stack = stack

    def rank(self, prompts: Sequence[str], k: int) -> list[list[Program]]:
        """Return the one program that routers choose for each prompt, whatever `k` is from 1 on.

        Cost:
            One run of each prompt under the program that it gets, which `during_prefill` saves.
        """
        whole_number("k", k, at_least=1, error=ConfigError)
        prompts = texts("prompts", prompts)
        ran = self._stack.generate(prompts, self.during_prefill(), max_new_tokens=1)
        return [[one.program] for one in ran]

    def during_prefill(self, k: int = 1) -> LayerwiseChoice:
        """Return the choice made while prompts run, for `LayerStack.generate`.

        Raises:
            ConfigError: More than the one program of each prompt is asked for.
        """
        if whole_number("k", k, at_least=1, error=ConfigError) > 1:
            raise ConfigError(f"{self.name} chooses one program for each prompt, not {k}")
        n_layers, has_run = self._stack.n_layers, set[int]()

        def decide(layer: int, numbers: Sequence[int], states: Sequence[Tensor]) -> list[int]:
            windows = padded_windows(list(map(window_means, states)))
            runs: list[int] = self.routers(layer, *windows).argmax(1).tolist()
            for place, number in enumerate(numbers):
                if layer == n_layers - 1 and number not in has_run:  # all others are skipped
                    runs[place] = max(runs[place], 1)
                if runs[place]:
                    has_run.add(number)
            return runs

        return LayerwiseChoice(decide, longest_of(n_layers))


def longest_of(n_layers: int) -> Program:
    """Return the longest program that routers can choose."""
    twice = [Segment(layer, layer + 1, N_ACTIONS - 1) for layer in range(n_layers)]
    return Program(n_layers, tuple(twice))
