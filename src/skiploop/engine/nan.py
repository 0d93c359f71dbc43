"""Where a row whose logits are not numbers went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from skiploop.engine.batching.encoding import encode
from skiploop.engine.forward.executor import Executor
from skiploop.engine.plan.schedule import schedule
from skiploop.programs.program import Program

if TYPE_CHECKING:
    from skiploop.stack import LayerStack


@torch.inference_mode()
def first_bad_slot(
    stack: LayerStack, prompt: str, program: Program, written: tuple[int, ...]
) -> int | None:
    """Return the first slot whose states are not all finite; None if it is the head.

    Cost:
        One run of the row, alone.
    """
    executor = Executor(stack, schedule([program.layer_inputs]), use_cache=False)
    tokens_ST = torch.tensor([[*encode(stack, [prompt])[0], *written]], device=stack.device)
    chain = executor.schedule.chain(0)
    executor.hidden(tokens_ST, torch.ones_like(tokens_ST), keep=chain)
    for slot, node in enumerate(chain):
        if not executor.kept[node].isfinite().all():
            return slot
    return None
