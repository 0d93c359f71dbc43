"""The configuration of a GGUF file: every key that bears on the numbers is in it, or is refused.

transformers reads some keys of each architecture and passes over the others. Here each key of the
architecture's namespace has a counterpart in the configuration, is neutral, or names the refusal.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from skiploop.errors import UnsupportedModelError
from skiploop.models.gguf.header import GgufHeader
from skiploop.models.gguf.rope import rope_scaling

# Key of the architecture: names of its counterpart; the first that the configuration class has.
_COUNTERPARTS = {
    "context_length": ("max_position_embeddings",),
    "block_count": ("num_hidden_layers",),
    "embedding_length": ("hidden_size",),
    "feed_forward_length": ("intermediate_size", "n_inner", "ffn_hidden_size"),
    "vocab_size": ("vocab_size",),
    "attention.head_count": ("num_attention_heads",),
    "attention.head_count_kv": ("num_key_value_heads", "num_kv_heads"),
    "attention.key_length": ("head_dim",),
    "attention.value_length": ("head_dim",),
    "attention.layer_norm_epsilon": (
        "layer_norm_eps",
        "layer_norm_epsilon",
        "norm_epsilon",
        "norm_eps",
    ),
    "attention.layer_norm_rms_epsilon": ("rms_norm_eps", "norm_eps", "layer_norm_epsilon"),
    "attention.sliding_window": ("sliding_window",),
    "attn_logit_softcapping": ("attn_logit_softcapping",),
    "final_logit_softcapping": ("final_logit_softcapping",),
    "expert_count": ("num_experts", "num_local_experts"),
    "expert_used_count": ("num_experts_per_tok",),
    "expert_feed_forward_length": ("moe_intermediate_size",),
    "expert_shared_feed_forward_length": ("shared_expert_intermediate_size",),
    "use_parallel_residual": ("use_parallel_residual",),
}
# Keys that say something only if they have another value than these.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "attention.causal": (True,),
    "attention.sliding_window": (0,),
    "attention.max_alibi_bias": (0,),
    "attention.clamp_kqv": (0,),
    "expert_count": (0,),
    "expert_used_count": (0,),
    "expert_shared_count": (0,),
    "nextn_predict_layers": (0,),
    "logit_scale": (0, 1),
    "residual_scale": (0, 1),
    "embedding_scale": (0, 1),
}
_ROPE = {"rope.freq_base", "rope.freq_base_swa", "rope.dimension_count", "rope.scale_linear"}
_ROPE_SCALING = "rope.scaling."
_BASE = 10000.0  # what the format means if a file leaves it out
_CONTEXT = "original_max_position_embeddings"
_WIDTHS = ("attention.key_length", "attention.value_length")
_FOR_THE_RECORD = {"tensor_data_layout"}
# Read by transformers where it knows the architecture at all, into more than one field.
_HYBRID = ("ssm.", "shortconv.", "rope.dimension_sections", "full_attention_interval")
_BY_TRANSFORMERS = {
    "mamba": _HYBRID,
    "lfm2": _HYBRID,
    "qwen35": (*_HYBRID, "block_count", "nextn_predict_layers"),
    "qwen35moe": (*_HYBRID, "block_count", "nextn_predict_layers"),
}
# In these the scale of attention is not the head's, and the file does not say so.
_GEMMA_27B_LAYERS = {"gemma2": 46, "gemma3": 62}


def read_config(folder: Path, header: GgufHeader) -> Any:  # noqa: ANN401 (without import)
    """Return the configuration of the file `model.gguf` in a folder.

    Raises:
        UnsupportedModelError: The file says something that the configuration cannot say.
    """
    from transformers import AutoConfig, PretrainedConfig

    _check_kind(header)
    stated, _ = PretrainedConfig.get_config_dict(folder, gguf_file="model.gguf")
    default = AutoConfig.for_model(stated["model_type"])
    turned = hasattr(default, "rope_parameters")
    for key in _own_keys(header):
        if not (turned and (key in _ROPE or key.startswith(_ROPE_SCALING))):
            _state(stated, key, header, lambda name: name in stated or hasattr(default, name))
    if turned:
        _state_positions(stated, header, default.rope_parameters or {})
    _state_gemma(stated, header)
    return AutoConfig.for_model(**stated)


def check_positions(header: GgufHeader, model: Any) -> None:  # noqa: ANN401 (without import)
    """Refuse a model that turns another part of its heads than the file says."""
    count = header.metadata.get(f"{header.architecture}.rope.dimension_count")
    found = {
        2 * len(table)
        for name, table in model.named_buffers()
        if name.endswith("inv_freq") and not name.endswith("original_inv_freq")
    }
    if count is not None and found - {count}:
        raise _refused(header, "rope.dimension_count", count)


def _check_kind(header: GgufHeader) -> None:
    """Refuse a file that is no whole model, or that speaks about another architecture."""
    from gguf import MODEL_ARCH_NAMES

    metadata, own = header.metadata, header.architecture
    if metadata.get("general.type", "model") != "model":
        raise UnsupportedModelError(
            f"{header.file} is no model, but of the type {metadata['general.type']!r}: "
            "merge it into its model first"
        )
    if metadata.get("split.count", 1) not in (0, 1):
        raise UnsupportedModelError(
            f"{header.file} is one of {metadata['split.count']!r} files: "
            "merge them with llama-gguf-split first"
        )
    known = {*MODEL_ARCH_NAMES.values(), *_spelt_by_transformers(), "adapter"}
    if own not in known:
        raise UnsupportedModelError(
            f"{header.file} cannot be converted to safetensors: the architecture {own!r} is not "
            "known; give a folder of safetensors instead"
        )
    if f"{own}.attention.head_count" not in metadata or not any(
        key.startswith(f"{own}.attention.layer_norm_") for key in metadata
    ):
        raise UnsupportedModelError(
            f"{header.file} does not say how many heads {own!r} has, or what its norms add: "
            "download it again"
        )
    for key in metadata:
        if key.partition(".")[0] in known - {own}:
            raise UnsupportedModelError(
                f"{header.file} is of the architecture {own!r} and has {key}: download it again"
            )


def _spelt_by_transformers() -> set[str]:
    """Return the namespaces that transformers reads, whatever the architecture is."""
    from transformers.integrations.ggml import GGUF_CONFIG_MAPPING

    return set(GGUF_CONFIG_MAPPING) - {"general", "tokenizer"}


def _own_keys(header: GgufHeader) -> list[str]:
    """Return the keys of the architecture that nobody else reads, without its name."""
    own = f"{header.architecture}."
    read = _BY_TRANSFORMERS.get(header.architecture, ())
    keys = [key.removeprefix(own) for key in header.metadata if key.startswith(own)]
    return [key for key in keys if key not in _FOR_THE_RECORD and not key.startswith(read)]


def _state(
    stated: dict[str, Any], key: str, header: GgufHeader, known: Callable[[str], bool]
) -> None:
    """Write the counterpart of one key into a configuration."""
    value = _of_all_layers(header, key, stated)
    name = next((name for name in _COUNTERPARTS.get(key, ()) if known(name)), None)
    neutral = value in _NEUTRAL.get(key, ())
    if name is not None:
        stated[name] = None if neutral else value
    elif not (neutral or (key in _WIDTHS and value == _width(stated))):
        raise _refused(header, key, value)


def _width(stated: dict[str, Any]) -> int | None:
    """Return the width of a head if the configuration leaves it to the other widths."""
    heads = stated.get("num_attention_heads")
    return stated["hidden_size"] // heads if heads else None


def _of_all_layers(header: GgufHeader, key: str, stated: dict[str, Any]) -> Any:  # noqa: ANN401
    """Return a value; of a list with one for each layer, the one that all layers have."""
    value = header.metadata[f"{header.architecture}.{key}"]
    if not isinstance(value, list):
        return value
    # Zero stands for a layer without attention, where the configuration names kinds of layers.
    different = set(value) - ({0} if "layer_types" in stated else set())
    if len(different) != 1:
        raise _refused(header, key, value)
    return different.pop()


def _state_positions(stated: dict[str, Any], header: GgufHeader, default: dict[str, Any]) -> None:
    """Write base, width and scaling of rotary positions into a configuration."""
    own = f"{header.architecture}.rope."
    stated["rope_theta"] = header.metadata.get(f"{own}freq_base", _BASE)
    turned = header.metadata.get(f"{own}dimension_count")
    part = turned / (stated.get("head_dim") or _width(stated)) if turned else 1.0
    if part != default.get("partial_rotary_factor", 1.0):
        stated["partial_rotary_factor"] = part
    near = header.metadata.get(f"{own}freq_base_swa")  # of layers that look back a little
    if near not in (None, default.get("sliding_attention", {}).get("rope_theta")):
        raise _refused(header, "rope.freq_base_swa", near)
    positions = rope_scaling(header) or {}
    if _CONTEXT in positions:  # Phi's own field would go before the rule's
        stated[_CONTEXT] = positions[_CONTEXT]
    if "rope_parameters" in stated:
        stated["rope_parameters"] |= positions
    elif positions:
        stated["rope_scaling"] = positions


def _state_gemma(stated: dict[str, Any], header: GgufHeader) -> None:
    """Write the scale of attention, which is the head's width but in the largest Gemma."""
    layers = _GEMMA_27B_LAYERS.get(header.architecture)
    if layers is None:
        return
    largest = stated["num_hidden_layers"] == layers
    stated["query_pre_attn_scalar"] = (
        stated["hidden_size"] // stated["num_attention_heads"] if largest else stated["head_dim"]
    )


def _refused(header: GgufHeader, key: str, value: object) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"{header.file} has {header.architecture}.{key} = {reprlib.repr(value)}, "
        "which would be left out: give a folder of safetensors instead"
    )
