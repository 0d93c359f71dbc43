"""A GGUF file becomes a folder of safetensors with its tokenizer, in float32.

The values are the dequantised ones, exactly. Loading the folder takes a fraction of a second and
maps the file into memory, so that processes share it; loading the GGUF file takes ten seconds and
more, each time, in each process.
"""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Collection
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from skiploop.extras import brought_by
from skiploop.models.declared import build_empty, check_counts, check_size
from skiploop.models.gguf.config import check_positions, read_config
from skiploop.models.gguf.header import GgufHeader, read_header
from skiploop.models.gguf.rope import ROPE_TENSORS
from skiploop.models.gguf.tokenizer import check_tokenizer
from skiploop.models.reading import quiet_transformers, reading

VERSION = 2
"""Raised whenever the same file becomes another folder."""

# What transformers hangs on a model read from GGUF and `save_pretrained` then refuses.
_QUANTIZATION_MARKS = ("hf_quantizer", "is_quantized", "quantization_method")
_ADVICE = "give a folder of safetensors instead"


def gguf_licence(file: Path) -> str:
    """Return the licence that a GGUF file states, or "unknown".

    Raises:
        UnsupportedModelError: The file is not GGUF, or is cut off.
    """
    return str(read_header(file).metadata.get("general.license", "unknown"))


def check_reader(name: str) -> None:
    """Refuse a GGUF file where it cannot be read; `name` is what the user calls it."""
    with brought_by("gguf", f"{name} is a GGUF file, read with the packages gguf and accelerate"):
        for package in ("gguf", "accelerate"):  # it is transformers that uses most of them
            import_module(package)


def convert_gguf(file: Path, folder: Path) -> None:
    """Write the weights, configuration and tokenizer of a GGUF file as a Hugging Face folder.

    Args:
        file: The GGUF file.
        folder: An existing folder; what is written there is loaded by `from_pretrained`.

    Raises:
        UnsupportedModelError: The file is damaged, transformers cannot read this architecture from
            GGUF, or the file says something that would be left out.
        MissingExtraError: A package that reads it is not installed.
        OSError: The disk is full.

    Cost:
        About 15 s and 4 bytes of memory and of disk per weight, twice that memory at the peak.
    """
    from safetensors import SafetensorError

    header = read_header(file)
    check_reader(str(file))
    # Alone in a folder: from_pretrained would also read a tokenizer_config.json lying beside it.
    alone = folder / "source"
    alone.mkdir()
    (alone / "model.gguf").symlink_to(file.resolve())
    with quiet_transformers(), contextlib.redirect_stderr(io.StringIO()):  # no progress bars
        with reading(f"{file} cannot be converted to safetensors", _ADVICE):
            model, tokenizer = _load_dense(alone, header), _load_tokenizer(alone, header)
        try:
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        except SafetensorError as error:
            raise OSError(str(error)) from error
    shutil.rmtree(alone)
    for weights in folder.glob("*.safetensors"):
        weights.chmod(0o644)  # they are written for one user, but a cache may be shared


def _load_tokenizer(folder: Path, header: GgufHeader) -> Any:  # noqa: ANN401 (without import)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file="model.gguf")
    check_tokenizer(header, tokenizer)
    return tokenizer


def _load_dense(folder: Path, header: GgufHeader) -> Any:  # noqa: ANN401 (without import)
    """Load `model.gguf` of a folder as a plain float32 model."""
    import torch
    from transformers import AutoModelForCausalLM

    check_counts(header.metadata, len(header.tensors))
    config = read_config(folder, header)
    check_size(build_empty(config), header.n_values)
    model, loading = AutoModelForCausalLM.from_pretrained(
        folder,
        gguf_file="model.gguf",
        config=config,
        dtype=torch.float32,
        output_loading_info=True,
    )
    if loading["missing_keys"]:  # transformers would fill them with random numbers
        raise ValueError(f"it lacks {sorted(loading['missing_keys'])[0]}; is it one of several?")
    unread = _unread(header, model, loading["unexpected_keys"])
    if unread:
        raise ValueError(f"the model built from it has no place for {unread[0]}")
    if any(tensor.dtype == torch.uint8 for tensor in model.state_dict().values()):
        raise ValueError("its weights stay packed in GGUF blocks")
    check_positions(header, model)
    for mark in _QUANTIZATION_MARKS:
        vars(model).pop(mark, None)
    vars(model.config).pop("quantization_config", None)
    return model


def _unread(
    header: GgufHeader,
    model: Any,  # noqa: ANN401 (without import)
    unexpected: Collection[str],
) -> list[str]:
    """Return the tensors that went into no weight and no configuration."""
    from transformers.modeling_gguf_pytorch_utils import (
        TENSOR_PROCESSORS,
        TensorProcessor,
        get_gguf_hf_weights_map,
    )

    in_config = ROPE_TENSORS if hasattr(model.config, "rope_parameters") else ()
    quantizer = vars(model).get("hf_quantizer")
    if quantizer and vars(quantizer).get("supported"):  # newer families: transformers reports them
        return sorted(set(unexpected) - set(in_config))
    processor = TENSOR_PROCESSORS.get(header.architecture, TensorProcessor)
    unread = [name for name in header.tensors if name not in in_config]
    # Names are looked up for every part of a model, which takes long; mostly the whole is enough.
    whole = SimpleNamespace(
        config=model.config, state_dict=model.state_dict, named_children=lambda: ()
    )
    for part in (whole, model):
        places = get_gguf_hf_weights_map(part, processor(config=model.config.to_dict()))
        # Experts that are stored as one tensor lose the last part of their name.
        unread = [n for n in unread if not {n, n.removesuffix(".weight")} & places.keys()]
        if not unread:
            break
    return unread
