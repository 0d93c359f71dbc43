"""Tensors in safetensors files that tell when they are damaged."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from skiploop.errors import RunError, one_line
from skiploop.files import replacing

CHECKSUM = "sha256"
"""Name of the checksum among the texts of a file."""


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], texts: Mapping[str, str] | None = None
) -> None:
    """Write tensors and a checksum of them, in a file that is either whole or not there.

    Args:
        path: Replaced if it exists; its folder must exist.
        tensors: By name; none may share memory with another.
        texts: To store with them.

    Raises:
        RunError: The file cannot be written, such as on a full disk.
    """
    notes = dict(texts or {})
    try:
        with replacing(path) as beside:
            held = {name: one.detach().cpu().contiguous() for name, one in tensors.items()}
            beside.write_bytes(save(held, {**notes, CHECKSUM: checksum_of(held, notes)}))
    except (SafetensorError, OSError) as error:
        raise RunError(
            f"cannot write {path}: {one_line(error)}; check the folder's rights and the free disk "
            "space, then run the same command again"
        ) from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read tensors and texts; where they have a checksum, what `write_tensors` wrote.

    Raises:
        RunError: The file is missing, cut off or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            notes = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} is missing or damaged ({one_line(error)})") from error
    expected = notes.pop(CHECKSUM, None)
    if expected is not None and expected != checksum_of(tensors, notes):
        raise RunError(f"{path} is damaged: its checksum is of other content")
    return tensors, notes


def checksum_of(tensors: Mapping[str, Tensor], texts: Mapping[str, str] | None = None) -> str:
    """Return a checksum of names, shapes and numbers of tensors, and of texts."""
    digest = hashlib.sha256(repr(sorted((texts or {}).items())).encode())
    for name, tensor in sorted(tensors.items()):
        numbers = tensor.detach().cpu().contiguous()
        digest.update(repr((name, tensor.dtype, tuple(tensor.shape))).encode())
        digest.update(numbers.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
