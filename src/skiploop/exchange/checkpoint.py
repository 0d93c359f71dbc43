"""A physical checkpoint: a program as an ordinary model whose repeated layers are copies.

Whatever loads Hugging Face models loads it and knows nothing of skiploop. It is loaded once before
it gets its name, and compared with the view of the program.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers import PreTrainedModel

from skiploop.errors import UnsupportedModelError
from skiploop.exchange.contents import Contents, path_of
from skiploop.files import filling
from skiploop.models.folder import read_model
from skiploop.models.reading import quiet_transformers, reading

if TYPE_CHECKING:
    from skiploop.models.frozen import FrozenModel
    from skiploop.programs.program import Program

SHARD_SIZE = "5GB"
"""Of a larger checkpoint, each file has at most so much."""

_N_TOKENS = 16
_ROUNDING = 1e-3  # of the largest logit: copies in memory are laid out otherwise
_PLAIN = (bool, int, float, str)


def write(out: Path, contents: Contents, model: FrozenModel) -> None:
    """Write a checkpoint into a new folder, with tokenizer and generation settings.

    Raises:
        ProgramError: A loop is damped.
        UnsupportedModelError: What is loaded again would not be the program, as the family decides
            by the place of a layer what it is.
        ConfigError: The folder holds something.

    Cost:
        Memory for the copies, and for the whole checkpoint while it is compared.
    """
    (program,) = contents.programs
    path_of(program, "a checkpoint")
    with filling(out) as folder, torch.no_grad():
        view = _with_copies(model, program)
        view.save_pretrained(folder, max_shard_size=SHARD_SIZE)
        for weights in folder.glob("*.safetensors"):
            shutil.copymode(folder / "config.json", weights)  # they are written for one user
        model.tokenizer.save_pretrained(folder)
        _check(folder, view, model, program)


def _with_copies(model: FrozenModel, program: Program) -> PreTrainedModel:
    """Return a view in which no two layers share a weight or a buffer."""
    view = model.view(program)
    layers = view.get_submodule(model.layers_path)
    for slot, layer in enumerate(program.path):
        if layer in program.path[:slot]:
            layers._modules[str(slot)] = copy.deepcopy(layers._modules[str(slot)])
    return view


def _check(folder: Path, view: PreTrainedModel, model: FrozenModel, program: Program) -> None:
    """Refuse a checkpoint that is not the view when it is loaded."""
    try:
        with quiet_transformers(), reading("it cannot be loaded", "report it"):
            loaded = read_model(folder, view.dtype, trust_remote_code=False)
    except UnsupportedModelError as error:
        raise _another(program, view, "its config.json describes other layers") from error
    loaded = loaded.to(model.device).eval()
    for slot, layer in enumerate(program.path):
        path = f"{model.layers_path}.{slot}"
        was, found = (dict(_settings(m.get_submodule(path))) for m in (view, loaded))
        different = [name for name in was.keys() | found.keys() if was.get(name) != found.get(name)]
        if different:
            name = min(different)
            change = f"{found.get(name)} instead of {was.get(name)}"
            raise _another(program, view, f"layer {layer} at place {slot} gets {name} {change}")
    tokens = torch.arange(_N_TOKENS, device=model.device)[None] % model.n_embeddings
    expected, logits = (m(tokens, use_cache=False).logits.float() for m in (view, loaded))
    gap = float((logits - expected).abs().max())
    if not gap <= _ROUNDING * float(expected.abs().max()):
        raise _another(program, view, f"logits differ by {gap:.3g}")


def _another(program: Program, view: PreTrainedModel, how: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"a checkpoint of {program} would be another model where transformers makes a "
        f"{type(view).__name__} of it, as {how}: use --to recipe"
    )


def _settings(layer: nn.Module) -> Iterator[tuple[str, object]]:
    """Yield the class of every part of a layer, and its settings."""
    for name, part in layer.named_modules():
        yield name, type(part).__name__
        for field, value in vars(part).items():
            if isinstance(value, _PLAIN) and not field.startswith("_"):
                yield f"{name}.{field}".lstrip("."), value
