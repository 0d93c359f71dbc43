"""A small training of FlexiDepth's routers and adapters: right answers stay likely, layers cost.

Routers start open: on a few prompts their gates are fitted to be near 1, so that training starts
from the plain model. The published training starts from random weights and needs hundreds of
thousands of texts.

Shapes: the letters of learning (docs/reference/shapes.md); E numbers of a hidden state, H of the
router's narrow part, N tokens of all prompts.

Source: arXiv 2503.23798, section 3, and the released script.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skiploop.engine.batching.encoding import Pair
from skiploop.policies.flexidepth.layers import LearningLayer
from skiploop.policies.flexidepth.network import Router, Skippers
from skiploop.policies.router_tuning import Lesson, Passing, TuningConfig, tune
from skiploop.seeds import derive_seed
from skiploop.stack import LayerStack

OPEN_LOGIT = 4.0
"""Of the gates at the start: they are 0.98."""

N_FITTED = 32
"""Prompts by which the gates are opened."""

_RTOL = 1e-3

FLEXIDEPTH_TUNING = TuningConfig(batch_size=32, learning_rate=1e-4, second_beta=0.95, pressure=1e-3)
"""The published numbers; the pressure is that of the paper."""


def train_skippers(stack: LayerStack, lessons: Sequence[Lesson], config: TuningConfig) -> Skippers:
    """Learn which layers each token can do without.

    Args:
        stack: The model, of a family that `check_family` takes.
        lessons: Prompts and right answers.
        config: How to learn; the loss grows with the square of the layers that a token runs, times
            its pressure.

    Raises:
        DataError: There are no lessons.
    """
    with torch.random.fork_rng([stack.device] if stack.device.type == "cuda" else []):
        torch.manual_seed(derive_seed(config.seed, "flexidepth"))
        skippers = Skippers.of_second_half(stack)
    for adapter in skippers.adapters.values():
        nn.init.zeros_(adapter.up_proj.weight)
    for layer, router in skippers.routers.items():
        _open(stack, layer, router, [lesson.prompt for lesson in lessons[:N_FITTED]])

    def passing(pairs: Sequence[Pair]) -> Passing:
        layers: list[nn.Module] = list(stack.layers)
        made = {
            layer: LearningLayer(layers[layer], router, skippers.adapters[layer])
            for layer, router in skippers.routers.items()
        }
        for layer, learning in made.items():
            layers[layer] = learning

        def penalty() -> Tensor:
            run_BT = torch.stack([one.gate_BT for one in made.values()]).sum(0)
            own = [run_T[: len(pair.whole) - 1] for run_T, pair in zip(run_BT, pairs, strict=True)]
            return torch.stack([run_T.square().mean() for run_T in own])

        return Passing(nn.ModuleList(layers), penalty)

    tune(stack, lessons, skippers.parameters(), passing, config)
    return skippers


@torch.no_grad()
def _open(stack: LayerStack, layer: int, router: Router, prompts: Sequence[str]) -> None:
    """Fit a router so that every token of some prompts runs its layer.

    One of its narrow numbers becomes the same for all of them, and the head reads that off.
    """
    norm = stack.layers[layer].get_submodule("input_layernorm")
    states = stack.hidden_states(prompts, layer)
    normed_NE: Tensor = norm(torch.cat(states).to(stack.device, stack.dtype))
    ones_N1 = torch.ones(len(normed_NE), 1, device=stack.device)
    same_E1 = torch.linalg.pinv(normed_NE.float(), rtol=_RTOL) @ ones_N1
    router.router_enc.weight[0] = OPEN_LOGIT * same_E1[:, 0]  # far above the random ones
    narrow_NH = router.narrow(normed_NE.float())
    weight_H1 = torch.linalg.pinv(narrow_NH, rtol=_RTOL) @ (OPEN_LOGIT * ones_N1)
    head_1E = weight_H1.T @ torch.linalg.pinv(router.router_dec.weight)
    router.router_head.weight.copy_(head_1E)
