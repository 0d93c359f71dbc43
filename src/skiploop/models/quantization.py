"""Weights in few bits: read as plain numbers where that is known to be right, else refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PretrainedConfig, PreTrainedModel

from skiploop.errors import UnsupportedModelError
from skiploop.models.held import HeldTensor

_UNPACKED = ("fp8", "mxfp8", "mxfp4")  # transformers can turn them into plain numbers
_KEPT = ("bitsandbytes",)
_FIELDS = ("quantization_config", "compression_config")
_WITHOUT_SCALE = {"F64", "F32", "F16", "BF16", "BOOL"}


def check_quantization(folder: Path, stated: Mapping[str, Any]) -> bool:
    """Return whether the weights are quantised; refuse the ways that are not supported."""
    for part in (stated, stated.get("text_config") or {}):
        for key in _FIELDS:
            if part.get(key) is not None:
                method = part[key].get("quant_method")
                if method not in _UNPACKED + _KEPT:
                    raise UnsupportedModelError(
                        f"the weights in {folder} are quantised with {method!r}, which is not "
                        "supported: use the original model, or a GGUF file, or save it dequantised"
                    )
                return True
    return False


def unpack(config: PretrainedConfig) -> None:
    """Let transformers turn quantised weights into plain numbers wherever it can."""
    for part in (config, config.get_text_config()):
        quantization = getattr(part, "quantization_config", None)
        if isinstance(quantization, dict) and quantization.get("quant_method") in _UNPACKED:
            quantization["dequantize"] = True


def check_numbers(
    folder: Path, held: Mapping[str, HeldTensor], empty: PreTrainedModel, *, scaled: bool
) -> None:
    """Refuse weights in numbers that mean nothing without a scale; where `scaled`, there is one."""
    places = empty.state_dict()
    for name, tensor in held.items():
        has_scale = scaled and any(scale in held for scale in _scales(name))
        if tensor.dtype in _WITHOUT_SCALE or has_scale:
            continue
        # Tables of indices are whole numbers; under another name than in the model, too.
        weight = places[name].is_floating_point() if name in places else name.endswith("weight")
        if weight:
            raise UnsupportedModelError(
                f"{name} in {folder} is stored as {tensor.dtype} without a scale that is used: "
                "give the model in float32, float16 or bfloat16"
            )


def _scales(name: str) -> tuple[str, ...]:
    """Return the names that the scale of a tensor may have; a scale has one itself."""
    if name.endswith(("_scale", "_scale_inv", "_scales", ".scale")):
        return (name,)
    stem = name.removesuffix("weight").removesuffix("_blocks")
    own = tuple(f"{name}{ending}" for ending in ("_scale_inv", "_scale", ".absmax"))
    return (*own, f"{stem}scale", f"{stem}_scales", f"{stem}SCB")
