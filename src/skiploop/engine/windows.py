"""One sequence of tokens through many paths at once: the states at their ends, and the losses.

What paths start with is run once, so all layers of the plain model, each as the end of a path,
take one pass. More tokens than the model takes are refused (BatchError).

Shapes: the letters of the engine (docs/reference/shapes.md); P paths.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from skiploop.engine.batching.rows import Row, check_lengths
from skiploop.engine.forward.executor import Executor
from skiploop.engine.forward.rotary import by_table
from skiploop.engine.plan.schedule import schedule
from skiploop.programs.program import Program

if TYPE_CHECKING:
    from skiploop.stack import LayerStack


@torch.inference_mode()
def states_after(stack: LayerStack, tokens: Sequence[int], depths: Sequence[int]) -> Tensor:
    """Return states_PTD of the plain model after its first layers, before the final norm.

    Args:
        stack: The model.
        tokens: At least one.
        depths: After how many layers; 0 for the embeddings.
    """
    return _run(stack, tokens, [range(depth) for depth in depths])[1]


@torch.inference_mode()
def logits_after(
    stack: LayerStack, tokens: Sequence[int], depths: Sequence[int], *, n_last: int
) -> list[Tensor]:
    """Return for each depth logits_TV, float32: final norm and head on the states there.

    Args:
        stack: The model.
        tokens: At least one.
        depths: After how many layers.
        n_last: Tokens T at the end for which they are wanted.
    """
    executor, states_PTD = _run(stack, tokens, [range(depth) for depth in depths])
    return [executor.head(states_TD[None, -n_last:])[0] for states_TD in states_PTD]


@torch.inference_mode()
def logits_along(stack: LayerStack, tokens: Sequence[int], program: Program) -> Tensor:
    """Return logits_PV, float32: final norm and head on the last state after each pass P.

    Args:
        stack: The model.
        tokens: At least one.
        program: Its layer passes are the P paths: each ends one pass later.
    """
    steps = program.layer_inputs
    executor, states_PTD = _run(stack, tokens, [steps[: n + 1] for n in range(len(steps))])
    return executor.head(states_PTD[:, -1:])[:, 0]


@torch.inference_mode()
def losses(stack: LayerStack, tokens: Sequence[int], programs: Sequence[Program]) -> list[float]:
    """Return for each program the mean cross-entropy of every token but the first.

    Args:
        stack: The model.
        tokens: At least two.
        programs: Any.
    """
    executor, states_PTD = _run(stack, tokens, [program.layer_inputs for program in programs])
    targets_T = torch.tensor(tokens[1:], device=stack.device)
    return [
        float(cross_entropy(executor.head(states_TD[None, :-1])[0], targets_T))
        for states_TD in states_PTD
    ]


def _run(
    stack: LayerStack, tokens: Sequence[int], paths: Sequence[Sequence[int]]
) -> tuple[Executor, Tensor]:
    """Return what ran the tokens along the paths, and states_PTD at the ends of these."""
    row = Row(0, tuple(tokens), Program.identity(stack.n_layers))
    check_lengths(stack, [row], 0)
    ((fitting, _),) = by_table(stack, [row], [len(tokens)])
    executor = Executor(fitting, schedule(paths, [0] * len(paths)), use_cache=False)
    tokens_1T = torch.tensor([tokens], device=stack.device)
    return executor, executor.hidden(tokens_1T, torch.ones_like(tokens_1T))
