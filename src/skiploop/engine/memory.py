"""How much memory one batch may take where nobody says."""

from __future__ import annotations

import torch

ON_CPU = 10**9  # bytes: larger batches are no faster there
SHARE = 0.6  # of what is free on a GPU; the rest is for what layers compute


def automatic_memory(device: torch.device) -> int:
    """Return the bytes that the keys and values of one batch may take.

    Args:
        device: Where the model is.
    """
    if device.type != "cuda":
        return ON_CPU
    free, _ = torch.cuda.mem_get_info(device)
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(SHARE * (free + unused))
