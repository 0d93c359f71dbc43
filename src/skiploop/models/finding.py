"""Where the layers of a model are, and what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import Parameter, signature

from torch import nn
from transformers import PreTrainedModel

from skiploop.errors import ConfigError, UnsupportedModelError


def accepted_inputs(module: nn.Module) -> Mapping[str, Parameter]:
    """Return the inputs that the forward pass of a module names."""
    return signature(module.forward).parameters


def find_layers(model: PreTrainedModel) -> str:
    """Return the dotted path of the list of decoder layers."""
    n_layers = getattr(model.config.get_text_config(decoder=True), "num_hidden_layers", None)
    decoder = model.get_decoder()
    if not list(decoder.children()):  # something else that has this name
        decoder = model
    within = {id(module) for module in decoder.modules()}
    lists: list[tuple[str, int]] = [
        (name, len(module))
        for name, module in model.named_modules()
        if id(module) in within and isinstance(module, nn.ModuleList)
    ]
    fitting = [name for name, length in lists if length == n_layers] or [name for name, _ in lists]
    depth = min((name.count(".") for name in fitting), default=0)
    found = [name for name in fitting if name.count(".") == depth]
    if len(found) != 1:
        raise UnsupportedModelError(
            f"the layers of {type(model).__name__} are not found: expected one list of {n_layers} "
            f"modules in its decoder {type(decoder).__name__}, saw {found or 'none'}; "
            'name it yourself, as in load(model, layers="model.layers")'
        )
    return found[0]


def find_decoder(model: PreTrainedModel, layers_path: str) -> str:
    """Return the dotted path of the innermost module around the layers that takes tokens."""
    path = layers_path.rpartition(".")[0]
    while path and "input_ids" not in accepted_inputs(model.get_submodule(path)):
        path = path.rpartition(".")[0]
    return path


def n_reserved_positions(model: PreTrainedModel) -> int:
    """Return how many learned positions no token has: RoBERTa counts from after its padding."""
    return max(
        (
            module.padding_idx + 1
            for name, module in model.named_modules()
            if isinstance(module, nn.Embedding)
            and module.padding_idx is not None
            and "position" in name
        ),
        default=0,
    )


def module_list(model: PreTrainedModel, path: str) -> nn.ModuleList:
    """Return the list of layers at a dotted path."""
    try:
        layers = model.get_submodule(path)
    except AttributeError as error:
        raise UnsupportedModelError(
            f"{type(model).__name__} has no module {path!r}: "
            "give the dotted path of its list of layers, such as model.layers"
        ) from error
    if not isinstance(layers, nn.ModuleList) or not len(layers) or "." not in path:
        raise UnsupportedModelError(
            f"{path!r} of {type(model).__name__} is a {type(layers).__name__}: "
            "expected the list of layers inside its decoder, such as model.layers"
        )
    return layers


def check_supported(model: PreTrainedModel) -> None:
    """Refuse what is no causal language model or has layers that need each other."""
    family = type(model).__name__
    config = model.config.get_text_config(decoder=True)
    if model.config.is_encoder_decoder or not model.can_generate():
        raise UnsupportedModelError(
            f"{family} is no causal language model with a head: "
            "load it with AutoModelForCausalLM.from_pretrained"
        )
    if model.training:
        raise ConfigError(
            f"{family} is in training mode, where dropout is random: call model.eval() first"
        )
    sharing = any(getattr(config, "kv_sharing_modes", None) or ())
    if sharing or getattr(config, "num_kv_shared_layers", None):
        raise UnsupportedModelError(
            f"the layers of {family} share keys and values, so they cannot be skipped or repeated: "
            "use a family where each has its own, such as Gemma 3, Llama or Qwen3"
        )
