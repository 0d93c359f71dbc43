"""Index arrays of the host as tensors of a device.

A transfer of its own for each small array would make the host wait for the device each time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from skiploop.engine.plan.schedule import Numbers


def on_device(arrays: Sequence[Numbers], device: torch.device) -> list[Tensor]:
    """Return arrays as tensors, taken over in one transfer that the host does not wait for."""
    if not arrays:
        return []
    whole = torch.from_numpy(np.concatenate(arrays))
    if device.type == "cuda":
        whole = whole.pin_memory().to(device, non_blocking=True)
    return list(whole.to(device).split([len(array) for array in arrays]))
