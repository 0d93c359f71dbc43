"""Training of Dr.LLM's routers on programs that were right, each layer on what it was given.

The model runs the right program of each question once, and the means of what each layer is given
are kept: the frozen model need not run again while routers learn (teacher forcing).

Shapes: the letters of learning (docs/reference/shapes.md); W windows of a prompt, E numbers of a
hidden state.

Source: arXiv 2510.12773, section 4, and the constants of its released code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from skiploop.engine.decoding.layerwise_choice import LayerwiseChoice
from skiploop.errors import ConfigError, DataError
from skiploop.jsontext import digest
from skiploop.policies.drllm.network import N_ACTIONS, N_WINDOWS, Routers, window_means
from skiploop.policies.drllm.policy import longest_of
from skiploop.policies.optimizing import cosine_with_warmup
from skiploop.programs.program import Program, shortest_first
from skiploop.programs.segment import Segment
from skiploop.seeds import derive_seed
from skiploop.stack import LayerStack


@dataclass(frozen=True, kw_only=True)
class RouterConfig:
    """How routers are trained; the defaults are the published recipe.

    Attributes:
        epochs: Passes over all questions.
        batch_size: Questions a step.
        learning_rate: Highest rate of AdamW; a cosine takes it to 0.
        warmup_steps: Steps in which the rate rises from 0, a tenth of all steps at most.
        weight_decay: Of AdamW.
        focus: How much less an action counts that is sure already (gamma of the focal loss).
        rarity: How much more rare actions count (beta of the effective number of samples).
        seed: Decides first weights and the order of the questions.

    Raises:
        ConfigError: A number is out of range.
    """

    epochs: int = 25
    batch_size: int = 16
    learning_rate: float = 1e-3
    warmup_steps: int = 500
    weight_decay: float = 0.01
    focus: float = 2.0
    rarity: float = 0.999
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size) < 1 or self.learning_rate <= 0:
            raise ConfigError(f"{self}: give at least 1 epoch and row, and a rate above 0")
        if min(self.warmup_steps, self.weight_decay, self.focus) < 0 or not 0 <= self.rarity < 1:
            raise ConfigError(f"{self}: give 0 or more, and a rarity below 1")


def label_of(right: Sequence[Program]) -> Program | None:
    """Return the shortest of some right programs that routers can choose, None if there is none.

    They can skip layers and run single ones twice, and no loop of theirs is damped.
    """
    possible = [program for program in right if all(map(_is_action, program.edits))]
    return min(possible, key=shortest_first, default=None)


def _is_action(edit: Segment) -> bool:
    return edit.runs == 0 or (len(edit) == 1 and edit.runs == 2 and edit.is_list_of_layers)


def told_by(config: RouterConfig, labels: Mapping[str, Program]) -> dict[str, object]:
    """Return the recipe and a hash of the labels, by which equal trainings are known."""
    told = [[prompt, str(program)] for prompt, program in labels.items()]
    return {**vars(config), "labels": digest(told)}


def train_routers(
    stack: LayerStack, labels: Mapping[str, Program], config: RouterConfig
) -> Routers:
    """Learn to choose the label of each prompt, layer by layer; see `label_of`.

    Raises:
        DataError: There are no labels.

    Cost:
        One run of each prompt, `4 * Q * D * W * E` bytes, and `D * W * E * 128` multiplications a
        question and epoch.
    """
    if not labels:
        raise DataError(
            "no question has a right program that skips layers or runs single ones twice: search "
            "more questions, or make a menu with such programs"
        )
    means_DQWE, share_QW = _what_layers_are_given(stack, labels)
    actions_QD = torch.tensor(
        [
            [program.path.count(layer) for layer in range(stack.n_layers)]
            for program in labels.values()
        ],
        device=stack.device,
    )
    weight_R = effective_number_weights(actions_QD.flatten().bincount(minlength=N_ACTIONS), config)
    with torch.random.fork_rng([stack.device] if stack.device.type == "cuda" else []):
        torch.manual_seed(derive_seed(config.seed, "drllm"))
        routers = Routers(stack.n_layers, means_DQWE.shape[-1]).to(stack.device)
        orders = [torch.randperm(len(labels)) for _ in range(config.epochs)]
    optimizer = torch.optim.AdamW(
        routers.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    batches = [rows for order in orders for rows in order.split(config.batch_size)]
    warmup_steps = min(config.warmup_steps, len(batches) // 10)
    for step, rows in enumerate(batches):
        share = cosine_with_warmup(step, warmup_steps=warmup_steps, n_steps=len(batches))
        optimizer.param_groups[0]["lr"] = config.learning_rate * share
        rows = rows.to(stack.device)
        losses = [
            focal_loss(
                routers(layer, means_DQWE[layer, rows], share_QW[rows]),
                actions_QD[rows, layer],
                weight_R,
                config.focus,
            )
            for layer in range(stack.n_layers)
        ]
        optimizer.zero_grad()
        torch.stack(losses).mean().backward()
        optimizer.step()
    return routers.eval()


def effective_number_weights(n_R: Tensor, config: RouterConfig) -> Tensor:
    """Return the weight of each action, 1 on average: the rarer, the more.

    Source: Cui et al. 2019, arXiv 1901.05555: `(1 - beta) / (1 - beta ** n)`.

    Args:
        n_R: How often each action is a label; one that never is counts as if it were once.
        config: Its `rarity` is beta.
    """
    weight_R = (1 - config.rarity) / (1 - config.rarity ** n_R.clamp_min(1).double())
    return (weight_R / weight_R.mean()).float()


def focal_loss(logits_BR: Tensor, action_B: Tensor, weight_R: Tensor, focus: float) -> Tensor:
    """Return the mean of `weight * (1 - p) ** focus * -log p` of the right actions.

    Source: Lin et al. 2017, arXiv 1708.02002.
    """
    logprob_B = F.log_softmax(logits_BR, 1).gather(1, action_B[:, None])[:, 0]
    return (weight_R[action_B] * (1 - logprob_B.exp()) ** focus * -logprob_B).mean()


def _what_layers_are_given(
    stack: LayerStack, labels: Mapping[str, Program]
) -> tuple[Tensor, Tensor]:
    """Return means_DQWE before each layer of each prompt's program, and share_QW as they count."""
    programs = list(labels.values())
    shape = stack.n_layers, len(labels), N_WINDOWS, stack.width
    means_DQWE = torch.zeros(*shape, device=stack.device)
    share_QW = torch.zeros(len(labels), N_WINDOWS, device=stack.device)

    def note(layer: int, numbers: Sequence[int], states: Sequence[Tensor]) -> list[int]:
        for number, states_TE in zip(numbers, states, strict=True):
            means_WE = window_means(states_TE)
            means_DQWE[layer, number, : len(means_WE)] = means_WE
            share_QW[number, : len(means_WE)] = 1 / len(means_WE)
        return [programs[number].path.count(layer) for number in numbers]

    choice = LayerwiseChoice(note, longest_of(stack.n_layers))
    stack.generate(list(labels), choice, max_new_tokens=1)
    return means_DQWE, share_QW
