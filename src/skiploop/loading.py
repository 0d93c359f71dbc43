"""From a name, or a Hugging Face model, to a `LayerStack`."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from skiploop import arguments
from skiploop.check import check, check_once
from skiploop.errors import ConfigError, one_line
from skiploop.models import resolve as weights
from skiploop.models.folder import read_model
from skiploop.models.identity import check_model
from skiploop.models.reading import quiet_transformers, reading
from skiploop.models.recipe import Recipe, has_recipe
from skiploop.stack import LayerStack

_ADVICE = "check its config.json and tokenizer files, or copy or download the folder again"
_DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def load(  # noqa: PLR0913  one for each thing that a user may have to say
    name: str | Path | PreTrainedModel,
    *,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    layers: str | None = None,
    memory: int | None = None,
    exact: bool = False,
    verify: bool = True,
    trust_remote_code: bool = False,
) -> LayerStack:
    """Load a causal language model and find its layers.

    Args:
        name: A packaged model, a hub id, a folder, a GGUF file, or a Hugging Face model, which is
            used as it is. In place of a model, a hub id or a folder may hold a recipe, see
            `skiploop export`: the model that it names is loaded, and refused if it is another one.
        dtype: float32, float64, bfloat16 or float16, also as `torch.float32`. By default float32,
            or whatever a given model or a recipe has.
        device: Such as `cpu` or `cuda:1`. By default the CPU, or where a given model is. On a GPU
            cuDNN's attention is switched off, for the whole process.
        tokenizer: Used instead of the one that comes with the weights. A given model has none.
        layers: Dotted path of the list of layers, such as `model.layers`, if it is not found.
        memory: Bytes that the keys and values of one batch may take; by default 10^9, and on a GPU
            0.6 of what is free there.
        exact: Whether every row runs alone; see `LayerStack`. Needs float32 or float64.
        verify: Whether the engine is compared with the plain model on a few random tokens first;
            see `skiploop.check`. What was loaded by its name is compared once.
        trust_remote_code: Whether code that comes with the weights may run.

    Raises:
        ConfigError: `dtype` or `device` is unknown or contradicts the given model, or the given
            model is in training mode.
        UnknownNameError: No such model.
        DownloadError: It could not be fetched.
        UnsupportedModelError: It is no causal language model, its weights are damaged or not
            complete, its layers cannot be found or depend on each other, or the engine does not
            give what the plain model gives.
        RunError: A recipe is damaged, or was made for another model.
    """
    if memory is not None:
        memory = arguments.whole_number("memory", memory, at_least=1, error=ConfigError)
    switches = {"exact": exact, "trust_remote_code": trust_remote_code, "verify": verify}
    for flag, value in switches.items():
        arguments.instance(flag, value, bool, expected="True or False", error=ConfigError)
    if layers is not None:
        arguments.instance("layers", layers, str, expected="a dotted path", error=ConfigError)
    if isinstance(name, PreTrainedModel):
        _check_as_asked(name, dtype, device)
        label = name.config.name_or_path or type(name).__name__
        stack = LayerStack(
            name, tokenizer, name=label, layers_path=layers, memory=memory, exact=exact
        )
        _check_settings(stack)
        if verify:
            check(stack)
        return stack

    if not isinstance(name, (str, Path)):
        raise ConfigError(
            f"name is {arguments.shown(name)}: give the name of a model, a path, or a Hugging Face "
            "model"
        )
    target_device = usable_device("cpu" if device is None else device)
    if dtype is not None:
        _dtype(dtype)  # before anything is fetched
    folder = weights.resolve(name)
    recipe = Recipe.load(folder) if has_recipe(folder) else None
    if recipe:
        name, folder = recipe.model, _model_of(recipe, folder)
    made_in = recipe.dtype if recipe else "float32"
    target_dtype = _dtype(made_in if dtype is None else dtype)
    with quiet_transformers(), reading(f"{str(name)!r} cannot be loaded", _ADVICE):
        model = read_model(folder, target_dtype, trust_remote_code=trust_remote_code)
        tokenizer = tokenizer or AutoTokenizer.from_pretrained(
            folder, trust_remote_code=trust_remote_code
        )
    model = model.to(target_device).eval()
    stack = LayerStack(
        model, tokenizer, name=str(name), layers_path=layers, memory=memory, exact=exact
    )
    _check_settings(stack)
    if recipe:
        check_model(recipe.weights, stack, "the recipe was made for", "load the model it was for")
    if verify:
        check_once(stack, folder)
    return stack


def _model_of(recipe: Recipe, folder: Path) -> Path:
    """Return the folder of the model that a recipe names; a recipe names no other recipe."""
    found = weights.resolve(recipe.model)
    if has_recipe(found):
        raise ConfigError(
            f"the recipe in {folder} names {recipe.model}, which is a recipe itself: name a model"
        )
    return found


def _check_settings(stack: LayerStack) -> None:
    """Refuse what cannot be exact, and switch off attention that would be compiled each time."""
    if stack.exact and stack.dtype not in (torch.float32, torch.float64):
        raise ConfigError(
            f"exact was asked for with {stack.dtype}, which rounds too much: use dtype float32"
        )
    if stack.device.type == "cuda":
        # cuDNN's attention is compiled for every shape, and hardly two batches have the same.
        torch.backends.cuda.enable_cudnn_sdp(False)


def _check_as_asked(
    model: PreTrainedModel, dtype: str | torch.dtype | None, device: str | torch.device | None
) -> None:
    """Refuse a dtype or device that a given model does not have."""
    if dtype is not None and _dtype(dtype) != model.dtype:
        raise ConfigError(
            f"dtype {dtype} was asked for, but the model is {model.dtype}: "
            "convert it first, or leave dtype out"
        )
    if device is None:
        return
    asked = _device(device)
    if asked.type != model.device.type or asked.index not in (None, model.device.index):
        raise ConfigError(
            f"device {device} was asked for, but the model is on {model.device}: "
            "move it first, or leave device out"
        )


def _dtype(asked: str | torch.dtype) -> torch.dtype:
    for name, dtype in _DTYPES.items():
        if asked is dtype or (isinstance(asked, str) and asked == name):
            return dtype
    raise ConfigError(
        f"unknown dtype {arguments.shown(asked)}: expected one of {', '.join(_DTYPES)}"
    )


def _device(name: str | torch.device) -> torch.device:
    try:
        if isinstance(name, (str, torch.device)) and name:
            return torch.device(name)
    except RuntimeError:
        pass
    raise ConfigError(f"unknown device {arguments.shown(name)}: expected such as cpu or cuda:0")


def usable_device(name: str | torch.device) -> torch.device:
    """Return a device on which something was computed.

    Raises:
        ConfigError: There is no such device, or it cannot be used.
    """
    device = _device(name)
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(f"cannot use device {device}: {one_line(error)}; try cpu") from error
    return device
