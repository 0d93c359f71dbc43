"""What a method has learned, in a folder of its own: `model.safetensors` and `config.json`.

The second file says which model it was learned for, and from what; it is written last, so that a
folder that has it is whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from skiploop.errors import RunError, told_as
from skiploop.jsontext import read_json, write_json
from skiploop.models.identity import check_model
from skiploop.policies.tensors import read_tensors, write_tensors
from skiploop.stack import LayerStack

_CONFIG = "config.json"
_TENSORS = "model.safetensors"


def write_weights(
    folder: Path, stack: LayerStack, made_from: Mapping[str, object], tensors: Mapping[str, Tensor]
) -> None:
    """Write what was learned, from which recipe and data, in the place of what the folder held."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _CONFIG).unlink(missing_ok=True)  # until the other file is there
    write_tensors(folder / _TENSORS, tensors)
    write_json(folder / _CONFIG, {"weights": stack.model_id, "made_from": dict(made_from)})


def read_weights(
    folder: Path, stack: LayerStack, made_from: Mapping[str, object]
) -> dict[str, Tensor] | None:
    """Return what was learned before in the same way from the same data; None if nothing was.

    Raises:
        RunError: It was learned for another model, or is damaged.
    """
    if not (folder / _CONFIG).exists():
        return None
    again = "delete it, and it is learned again"
    with told_as(RunError, f"{folder} is damaged", again, of=(KeyError, ValueError)):
        config = read_json(folder / _CONFIG)
        weights, made_before = str(config["weights"]), config["made_from"]
    remedy = f"load that one, or delete {folder} to learn it for {stack.name}"
    check_model(weights, stack, f"what {folder} holds was learned for", remedy)
    if made_before != made_from:
        return None
    return read_tensors(folder / _TENSORS)[0]
