"""What a configuration declares against what the files hold, before anything is allocated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from skiploop.errors import UnsupportedModelError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

# Modules are made one by one, and Python makes a thousand a second; real models have fewer.
_ALWAYS_POSSIBLE = 1000
_COUNTED = ("layer", "layers", "experts", "labels", "depth", "block_count", "expert_count")
# Tables that are computed, not stored, such as those of positions: half a gigabyte in float32.
_COMPUTED = 2**27
_COPY_AGAIN = "copy or download the whole model again"


def check_counts(stated: Mapping[str, Any], n_tensors: int) -> None:
    """Refuse more layers or experts than the files can hold.

    Args:
        stated: A configuration as it stands in the file; mappings inside it count as well.
        n_tensors: How many tensors the files hold.
    """
    most = max(n_tensors, _ALWAYS_POSSIBLE)
    for key, value in _fields(stated):
        if isinstance(value, int) and value > most and key.endswith(_COUNTED):
            raise UnsupportedModelError(
                f"the configuration states {key!r} = {value}, but the files hold only {n_tensors} "
                f"tensors: {_COPY_AGAIN}"
            )


def build_empty(config: PretrainedConfig, *, trust_remote_code: bool = False) -> PreTrainedModel:
    """Return the model of a configuration with shapes, but without numbers."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)


def check_size(empty: PreTrainedModel, n_values: int) -> None:
    """Refuse a larger model than the files hold: the rest would be random numbers."""
    asked = _count(empty.parameters()) + _count(empty.buffers())
    if asked > n_values + _COMPUTED:
        raise UnsupportedModelError(
            f"the configuration states a model of {asked:.3g} numbers, but the files hold "
            f"{n_values:.3g}: {_COPY_AGAIN}"
        )


def _count(tensors: Iterable[Any]) -> int:
    return sum(tensor.numel() for tensor in tensors)


def _fields(stated: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every field of a configuration, with those of the configurations inside it."""
    for key, value in stated.items():
        if isinstance(value, Mapping):
            yield from _fields(value)
        else:
            yield key, value
