"""How much memory one batch may take where nobody says."""

from __future__ import annotations

import torch

from skiploop.engine.tuning import tuning_of


def automatic_memory(device: torch.device) -> int:
    """Return the bytes that the keys and values of one batch may take."""
    if device.type != "cuda":
        return tuning_of(device).batch_bytes
    free, _ = torch.cuda.mem_get_info(device)
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(tuning_of(device).free_share * (free + unused))
