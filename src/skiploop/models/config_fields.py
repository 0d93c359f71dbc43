"""Fields of config.json that would be passed over although a model depends on them."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from transformers import PretrainedConfig

from skiploop.errors import UnsupportedModelError

# Fields of some families that change what a model computes; in other families nobody reads them.
_BEAR_ON_NUMBERS = {
    "alibi",
    "attention_chunk_size",
    "attention_multiplier",
    "attn_logit_softcapping",
    "clip_qkv",
    "embedding_multiplier",
    "final_logit_softcapping",
    "lm_head_multiplier",
    "logit_scale",
    "logits_scaling",
    "query_pre_attn_scalar",
    "residual_multiplier",
    "rope_parameters",
    "rope_scaling",
    "scale_depth",
    "scale_emb",
    "sliding_window",
}
_POSITIONS = {
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "factor",
    "high_freq_factor",
    "long_factor",
    "low_freq_factor",
    "mscale",
    "mscale_all_dim",
    "original_max_position_embeddings",
    "partial_rotary_factor",
    "rope_theta",
    "rope_type",
    "short_factor",
    "truncate",
}
_ALIKE = 0.92  # "slidding_window" is, "layer_norm_eps" for "rms_norm_eps" is not


def check_fields(stated: Mapping[str, Any], config: PretrainedConfig) -> None:
    """Refuse fields that the configuration class passes over and that a model may depend on."""
    known = _known(config)
    for key, value in stated.items():
        if key in known or _neutral(value):
            continue
        _check_spelling(key, known - stated.keys())
        if key in _BEAR_ON_NUMBERS:
            raise UnsupportedModelError(
                f"config.json has {key!r} = {reprlib.repr(value)}, but {config.model_type} in "
                "transformers passes over it: set model_type to a family that has it, or remove it"
            )
    rules = list(_position_rules(getattr(config, "rope_parameters", None) or {}))
    for rule in rules:
        _check_positions(rule)
    base = stated.get("rope_theta")
    if base is not None and rules and all(rule.get("rope_theta", base) != base for rule in rules):
        raise UnsupportedModelError(
            f"config.json has 'rope_theta' = {base!r} beside 'rope_parameters' that say otherwise: "
            "remove one of them"
        )
    if isinstance(stated.get("text_config"), Mapping):
        check_fields(stated["text_config"], config.get_text_config())


def _neutral(value: object) -> bool:
    """Whether a field with this value is as good as none; a factor of 1 is."""
    return not value or (value == 1 and value is not True)


def _known(config: PretrainedConfig) -> set[str]:
    """Return the fields that a configuration class reads."""
    names = {*vars(type(config)()), *config.attribute_map}
    return names | ({"rope_scaling"} if "rope_parameters" in names else set())


def _check_spelling(name: str, expected: Collection[str]) -> None:
    """Refuse a name that nobody reads and that is nearly one that is missing."""
    alike = difflib.get_close_matches(name, expected, 1, _ALIKE)
    if alike:
        raise UnsupportedModelError(
            f"config.json has {name!r}, which nothing reads: did you mean {alike[0]!r}? "
            "Correct it, or remove it"
        )


def _check_positions(rule: Mapping[str, Any]) -> None:
    """Refuse factors for rotary positions that have no effect."""
    for name in rule.keys() - _POSITIONS:
        _check_spelling(name, _POSITIONS - rule.keys())
    unused = {"factor", "long_factor", "short_factor"} & rule.keys()
    if rule.get("rope_type", "default") == "default" and unused:
        raise UnsupportedModelError(
            f"config.json scales positions by {min(unused)!r} without a rope_type that uses it: "
            "name the rope_type, such as linear, yarn or longrope"
        )


def _position_rules(positions: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the rules; some families have one for each kind of layer."""
    nested = [value for value in positions.values() if isinstance(value, Mapping)]
    yield from nested or [positions]
