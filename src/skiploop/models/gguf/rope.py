"""Scaled rotary positions of a GGUF file, in the words of a Hugging Face configuration.

The file states the scaling as metadata, as factors in tensors, or as both; transformers reads
neither. What has no exact counterpart is refused.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from skiploop.errors import UnsupportedModelError
from skiploop.models.gguf.header import GgufHeader

_FACTORS, _LONG, _SHORT = (
    "rope_freqs.weight",
    "rope_factors_long.weight",
    "rope_factors_short.weight",
)
ROPE_TENSORS = (_FACTORS, _LONG, _SHORT)
# What a multiplier is if the file leaves it out.
_NEUTRAL = {"attn_factor": 1.0, "yarn_attn_factor": 1.0, "yarn_ext_factor": 1.0}
# finetuned: said for the record.
_KEYS = {"type", "factor", "original_context_length", "finetuned", *_NEUTRAL}
_BETAS = {"yarn_beta_fast": "beta_fast", "yarn_beta_slow": "beta_slow"}
_CONTEXTS = tuple(2**power for power in range(4, 25))


def rope_scaling(header: GgufHeader) -> dict[str, Any] | None:
    """Return the `rope_scaling` of a configuration, None for plain positions.

    Raises:
        UnsupportedModelError: The file says something about positions that has no counterpart.
    """
    said = _said(header)
    attention = said["attn_factor"] * said["yarn_attn_factor"]
    factor = said.get("factor") or 1.0
    kind = said.get("type", "linear" if factor != 1 else "none")
    tensors = tuple(name for name in ROPE_TENSORS if name in header.tensors)
    if tensors == (_LONG, _SHORT) and kind in ("none", "longrope"):
        return _long(header, said, attention)
    if tensors == (_FACTORS,) and kind == "none" and attention == 1:
        return _by_factors(header)
    if not tensors and kind == "none" and attention == 1:
        return None
    if not tensors and kind == "linear" and attention == 1:
        return {"rope_type": "linear", "factor": factor}
    if not tensors and kind == "yarn" and said["yarn_ext_factor"] == 1 and factor > 1:
        return _yarn(header, said, factor, attention)
    words = [f"{key} {value!r}" for key, value in said.items() if _NEUTRAL.get(key) != value]
    raise UnsupportedModelError(
        f"{header.file} scales its positions in a way that is not supported "
        f"({', '.join([*words, *tensors])}): give a folder of safetensors instead"
    )


def _said(header: GgufHeader) -> dict[str, Any]:
    """Return the metadata about scaling by the last part of its name, with neutral values."""
    start = f"{header.architecture}.rope.scaling."
    found = {
        key.removeprefix(start): value
        for key, value in header.metadata.items()
        if key.startswith(start)
    }
    if old := header.metadata.get(f"{header.architecture}.rope.scale_linear"):
        found.setdefault("factor", old)
    unknown = found.keys() - _KEYS - _BETAS.keys()
    if unknown:
        raise UnsupportedModelError(
            f"{header.file} has {start}{min(unknown)}, which is not understood: "
            "give a folder of safetensors instead"
        )
    return _NEUTRAL | found


def _context(header: GgufHeader, said: dict[str, Any]) -> int:
    """Return the context before scaling."""
    return int(
        said.get("original_context_length")
        or header.metadata[f"{header.architecture}.context_length"]
    )


def _yarn(
    header: GgufHeader, said: dict[str, Any], factor: float, attention: float
) -> dict[str, Any]:
    return {
        "rope_type": "yarn",
        "factor": factor,
        "original_max_position_embeddings": _context(header, said),
        "attention_factor": attention * (0.1 * math.log(factor) + 1),
    } | {name: said[key] for key, name in _BETAS.items() if key in said}


def _long(header: GgufHeader, said: dict[str, Any], attention: float) -> dict[str, Any]:
    return {
        "rope_type": "longrope",
        "long_factor": header.values(_LONG).tolist(),
        "short_factor": header.values(_SHORT).tolist(),
        "original_max_position_embeddings": _context(header, said),
        "attention_factor": attention,
    }


def _by_factors(header: GgufHeader) -> dict[str, Any]:
    """Return Llama 3's rule if it gives these factors, else the factors themselves."""
    factors = header.values(_FACTORS)
    base = header.metadata.get(f"{header.architecture}.rope.freq_base", 10000.0)
    # Only the two ratios to the context count, and every Llama has 1 and 4.
    rule = {"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    for context in _CONTEXTS:
        scaling = rule | {
            "factor": round(float(factors.max()), 4),
            "original_max_position_embeddings": context,
        }
        if np.allclose(_llama3_factors(scaling, base, len(factors)), factors, rtol=1e-5, atol=0):
            return scaling
    return {
        "rope_type": "longrope",  # with one table for long and short
        "long_factor": factors.tolist(),
        "short_factor": factors.tolist(),
        "original_max_position_embeddings": header.metadata[
            f"{header.architecture}.context_length"
        ],
        "attention_factor": 1.0,
    }


def _llama3_factors(scaling: dict[str, Any], base: float, count: int) -> np.ndarray[Any, Any]:
    """Return by how much Llama 3's rule divides each frequency."""
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    config = LlamaConfig(head_dim=2 * count, rope_parameters=scaling | {"rope_theta": base})
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config)
    plain = base ** -(np.arange(0, 2 * count, 2) / (2 * count))
    return np.asarray(plain / scaled.double().numpy())
