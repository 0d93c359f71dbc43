"""What trainings of several methods have in common."""

from __future__ import annotations

import math


def cosine_with_warmup(step: int, *, warmup_steps: int, n_steps: int) -> float:
    """Return the share of the highest learning rate at a step, counted from 0."""
    if step < warmup_steps:
        return step / warmup_steps
    progress = (step - warmup_steps) / max(n_steps - warmup_steps, 1)
    return 0.5 * (1 + math.cos(math.pi * progress))
