"""A model from a folder of safetensors: all that the folder says is used, or it is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from skiploop.errors import UnsupportedModelError
from skiploop.models.config_fields import check_fields
from skiploop.models.declared import build_empty, check_counts, check_size
from skiploop.models.held import check_complete, count_values, read_held
from skiploop.models.quantization import check_numbers, check_quantization, unpack


def read_model(folder: Path, dtype: torch.dtype, *, trust_remote_code: bool) -> PreTrainedModel:
    """Load the model of a folder.

    Raises:
        UnsupportedModelError: The model would not be what the folder says.
    """
    stated = _read_object(folder / "config.json")
    quantized = check_quantization(folder, stated)
    held = read_held(folder)
    check_counts(stated, len(held))
    config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    if not trust_remote_code:
        check_fields(stated, config)
    empty = build_empty(config, trust_remote_code=trust_remote_code)
    check_numbers(folder, held, empty, scaled=quantized)
    if not quantized:
        check_size(empty, count_values(held))
    unpack(config)
    model, loading = AutoModelForCausalLM.from_pretrained(
        folder,
        config=config,
        dtype=dtype,
        use_safetensors=True,  # never a pickle that lies beside them
        trust_remote_code=trust_remote_code,
        ignore_mismatched_sizes=True,  # refused below, by name
        output_loading_info=True,
    )
    check_complete(folder, model, held, loading)
    return model


def _read_object(file: Path) -> dict[str, Any]:
    stated = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(stated, dict):
        raise UnsupportedModelError(f"{file} is not a JSON object: copy or download it again")
    return stated
