"""A GGUF file becomes a folder of safetensors with its tokenizer, in float32.

The values are the dequantised ones, exactly. Loading the folder takes a fraction of a second and
maps the file into memory, so that processes share it; loading the GGUF file takes ten seconds and
more, each time, in each process.
"""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from skiploop.errors import UnsupportedModelError

# What transformers hangs on a model read from GGUF and `save_pretrained` then refuses.
_QUANTIZATION_MARKS = ("hf_quantizer", "is_quantized", "quantization_method")
_READ_ERRORS = (ValueError, KeyError, NotImplementedError, ImportError, RuntimeError)


def gguf_licence(file: Path) -> str:
    """Return the licence that a GGUF file states, or "unknown".

    Raises:
        UnsupportedModelError: The file is not GGUF, or is cut off.
    """
    from gguf import GGUFReader

    try:
        field = GGUFReader(file).get_field("general.license")
    except ValueError as error:
        raise UnsupportedModelError(
            f"{file} is not a complete GGUF file ({error}): download it again"
        ) from error
    return str(field.contents()) if field else "unknown"


def convert_gguf(file: Path, folder: Path) -> None:
    """Write the weights, configuration and tokenizer of a GGUF file as a Hugging Face folder.

    Args:
        file: The GGUF file, already known to be complete.
        folder: An existing folder; what is written there is loaded by `from_pretrained`.

    Raises:
        UnsupportedModelError: transformers cannot read this architecture from GGUF.
        OSError: The disk is full.

    Cost:
        About 15 s and 4 bytes of memory and of disk per weight, twice that memory at the peak.
    """
    from safetensors import SafetensorError
    from transformers import AutoTokenizer

    # Alone in a folder: from_pretrained would also read a tokenizer_config.json lying beside it.
    alone = folder / "source"
    alone.mkdir()
    (alone / "model.gguf").symlink_to(file.resolve())
    try:
        with _quiet_transformers():
            model = _load_dense(alone)
            model.save_pretrained(folder)
            tokenizer = AutoTokenizer.from_pretrained(alone, gguf_file="model.gguf")
            tokenizer.save_pretrained(folder)
    except SafetensorError as error:
        raise OSError(str(error)) from error
    except _READ_ERRORS as error:
        reason = " ".join(str(error).split())
        raise UnsupportedModelError(
            f"{file} cannot be converted ({reason}): give a folder of safetensors instead"
        ) from error
    shutil.rmtree(alone)
    for weights in folder.glob("*.safetensors"):
        weights.chmod(0o644)  # they are written for one user, but a cache may be shared


def _load_dense(folder: Path) -> Any:  # noqa: ANN401 (a transformers model, without import)
    """Load `model.gguf` of a folder as a plain float32 model."""
    import torch
    from transformers import AutoModelForCausalLM

    model, loading = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file="model.gguf", dtype=torch.float32, output_loading_info=True
    )
    if loading["missing_keys"]:  # transformers would fill them with random numbers
        raise ValueError(f"it lacks {sorted(loading['missing_keys'])[0]}; is it one of several?")
    if any(tensor.dtype == torch.uint8 for tensor in model.state_dict().values()):
        raise ValueError("its weights stay packed in GGUF blocks")
    for mark in _QUANTIZATION_MARKS:
        vars(model).pop(mark, None)
    vars(model.config).pop("quantization_config", None)
    return model


@contextlib.contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Hide its progress bars and warnings, which all go to stderr, and restore its settings."""
    from transformers.utils import logging as transformers_logging

    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
