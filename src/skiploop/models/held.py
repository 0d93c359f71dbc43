"""What the safetensors of a folder hold, and whether the model built from them has it all."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import PreTrainedModel

from skiploop.errors import UnsupportedModelError, told_as

_INDEX = "model.safetensors.index.json"
_WHOLE = "model.safetensors"
_FREQUENCIES = "rotary_emb.inv_freq"
_COPY_AGAIN = "copy or download the whole folder again"

# Without a place in the model, and without effect on its numbers.
_DRAFTING = re.compile(r"(^|\.)(mtp|mtp_layers)\.")  # layers that guess more than one token ahead
_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
_OTHER_SENSES = re.compile(
    r"(^|\.)(vision_tower|vision_model|visual|multi_modal_projector|audio_tower)\."
)


@dataclass(frozen=True)
class HeldTensor:
    """A tensor as its file describes it.

    Attributes:
        file: Where it lies.
        dtype: In the words of safetensors, such as F32.
        shape: Its shape.
    """

    file: Path
    dtype: str
    shape: tuple[int, ...]


def read_held(folder: Path) -> dict[str, HeldTensor]:
    """Return the tensors that transformers would load from a folder, by name.

    Raises:
        UnsupportedModelError: A file is cut off or damaged, or two files hold the same tensor.
    """
    damaged = f"the *.safetensors in {folder} are cut off or damaged"
    again = "copy or download them again"
    held: dict[str, HeldTensor] = {}
    for file in _files(folder):
        with (
            told_as(UnsupportedModelError, damaged, again, of=(SafetensorError,)),
            safe_open(file, framework="pt") as opened,
        ):
            for name in opened.keys():  # noqa: SIM118 (the opened file is no mapping)
                if name in held or not name.isprintable():
                    raise UnsupportedModelError(
                        f"two files in {folder} hold {name!r}, or it is damaged: {_COPY_AGAIN}"
                    )
                part = opened.get_slice(name)
                held[name] = HeldTensor(file, part.get_dtype(), tuple(part.get_shape()))
    return held


def _files(folder: Path) -> list[Path]:
    """Return the files that transformers would read."""
    index = folder / _INDEX
    if (folder / _WHOLE).is_file():
        return [folder / _WHOLE]
    if not index.is_file():
        raise UnsupportedModelError(f"{folder} has no file named {_WHOLE}: {_COPY_AGAIN}")
    shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
    return [folder / name for name in sorted(set(shards))]


def count_values(held: Mapping[str, HeldTensor]) -> int:
    """Return how many numbers the tensors hold together."""
    return sum(prod(tensor.shape) for tensor in held.values())


def check_complete(
    folder: Path,
    model: PreTrainedModel,
    held: Mapping[str, HeldTensor],
    loading: Mapping[str, Collection[Any]],
) -> None:
    """Refuse a model that was filled up with random numbers, or that leaves out tensors."""
    wrong = [f"{name} has shape {list(found)}" for name, found, _ in loading["mismatched_keys"]]
    lacking = [f"{name} is missing" for name in loading["missing_keys"]]
    twice = [f"{name} is there under two names" for name in _twice(model, held)]
    placeless = [
        f"{name} has no place in the model"
        for name in loading["unexpected_keys"]
        if not _harmless(name, model)
    ]
    turned = [f"{name} has other values than the model" for name in _other_tables(model, held)]
    found = sorted(wrong + lacking) + sorted(twice) + sorted(placeless) + turned
    if found:
        raise UnsupportedModelError(
            f"the weights in {folder} are not those of its config.json ({found[0]}): {_COPY_AGAIN}"
        )


def _twice(model: PreTrainedModel, held: Iterable[str]) -> list[str]:
    """Return the names that stand there with and without the prefix of the model in them."""
    prefix = f"{model.base_model_prefix}."
    names = set(held)
    return [name for name in names if prefix + name in names]


def _other_tables(model: PreTrainedModel, held: Mapping[str, HeldTensor]) -> list[str]:
    """Return the stored frequencies of plain rotary positions that the model does not have.

    Older folders hold them, and transformers computes them anew. They may be rounded.
    """
    positions = getattr(model.config, "rope_parameters", None) or {}
    tables = [table for name, table in model.named_buffers() if name.endswith(_FREQUENCIES)]
    if len(tables) != 1 or positions.get("rope_type") != "default":
        return []
    return [
        name
        for name, tensor in held.items()
        if name.endswith(_FREQUENCIES) and not _close(read_tensor(tensor, name), tables[0])
    ]


def read_tensor(tensor: HeldTensor, name: str) -> Tensor:
    """Return a tensor of a file, by its name."""
    with safe_open(tensor.file, framework="pt") as opened:
        stored: Tensor = opened.get_tensor(name)
    return stored


def _close(stored: Tensor, table: Tensor) -> bool:
    same = stored.shape == table.shape
    return same and torch.allclose(stored.float(), table.float().cpu(), rtol=1e-2, atol=0)


def _harmless(name: str, model: PreTrainedModel) -> bool:
    """Whether a tensor that was left out takes no part in reading and writing text."""
    config = model.config.to_dict()
    layer = _LAYER.search(name)
    if layer and config.get("num_nextn_predict_layers"):
        return bool(int(layer[1]) >= config["num_hidden_layers"])
    return bool(_DRAFTING.search(name) or _OTHER_SENSES.search(name))
