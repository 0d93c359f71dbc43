"""Program views: Hugging Face models that run a program with the weights of another model.

A view is made of shallow clones: new module objects that share every parameter with the
original. Each slot has its own clone of the layer it runs, with the slot as its `layer_idx`, and
the view has its own config whose per-layer lists follow the program; so caches, masks and rotary
embeddings are right by construction, and everything that takes a Hugging Face model takes a view.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedConfig, PreTrainedModel
from transformers.utils.output_capturing import maybe_install_capturing_hooks

from skiploop.errors import UnsupportedModelError
from skiploop.models.scaling import scaled
from skiploop.programs.layer_pass import Mix, mix_of, scale_of
from skiploop.programs.program import Program

if TYPE_CHECKING:
    from skiploop.models.frozen import FrozenModel

_Module = TypeVar("_Module", bound=nn.Module)

# Compiled calls run the module they were made from, not the clone that inherits them.
_COMPILED = ("_compiled_call", "_compiled_call_impl", "_last_compile_config")
_PER_LAYER_NAMES = {"attention_types", "indexer_types", "kv_sharing_modes"}
_N_FIRST_LAYERS_NAMES = {"first_k_dense_replace", "max_window_layers"}
_LAYER_INDEX_NAMES = {"mlp_only_layers", "attn_layer_indices", "full_attn_idxs", "moe_layers"}


def program_view(stack: FrozenModel, program: Program) -> PreTrainedModel:
    """Return a model that runs `program`, sharing all weights with `stack.model`.

    The view has the class of the model, so `generate`, `torch.compile`, caches and lm-eval work on
    it. It saves as a recipe, not as weights: `save_pretrained` refuses repeated layers, because
    they share memory, and scaled ones, which weights do not tell. Moving or converting a view does
    the same to the model it was made of. A view of a hybrid model that skips all attention layers
    needs `use_cache=False`, as Hugging Face caches take their length from one.

    Args:
        stack: The model; only inert recording hooks are added to it, once.
        program: Any program for its number of layers.

    Raises:
        ProgramError: The program was made for another number of layers.
        UnsupportedModelError: A module's forward pass is replaced on the object itself, as
            accelerate does to models spread over devices; the layers have no `layer_idx`; or the
            family looks things up by place in the loop, as Gemma 4 does.

    Guarantees:
        Equals a model with physically copied layers (tests/model/test_view.py); damped loops equal
        their formula (tests/model/test_damped.py).
    """
    stack.check(program)
    _check_loop(stack)
    # Installed later, through views, the hooks would be installed twice on shared submodules.
    maybe_install_capturing_hooks(stack.decoder)
    configs = _reindexed_configs(stack, program.path)
    layers = shallow_clone(stack.layers)
    layers._modules = {
        str(slot): _layer_at(stack.layers[layer], slot, configs)
        for slot, layer in enumerate(program.path)
    }
    _blend(layers, program)
    view: PreTrainedModel = graft(stack.model, stack.layers_path, layers)
    for owner in _owners(view, stack.layers_path):
        owner.config = configs[id(owner.config)]
    kinds = _kinds_of_cache(stack.model)
    if _kinds_of_cache(view) != [kinds[layer] for layer in program.path]:
        raise UnsupportedModelError(
            f"the config of {type(view).__name__} tells the kinds of its layers by their places, "
            "so it cannot describe a view: use stack.generate, stack.choose or stack.loglikelihood"
        )
    view.generation_config = copy.deepcopy(view.generation_config)
    if not all(edit.is_list_of_layers for edit in program.edits):
        vars(view)["save_pretrained"] = _refuse_to_save
    return view


def _refuse_to_save(*_args: object, **_kwargs: object) -> None:
    """Refuse to save weights that say nothing of mixes and scales."""
    raise UnsupportedModelError(
        "a program with damped loops or scaled layers is no list of layers, so saved weights would "
        "be another model: use skiploop export --program PROGRAM --to recipe"
    )


def graft(root: _Module, path: str, module: nn.Module) -> _Module:
    """Return a shallow clone of `root` in which the submodule at a dotted path is `module`."""
    name, _, rest = path.partition(".")
    clone = shallow_clone(root)
    clone._modules[name] = graft(root.get_submodule(name), rest, module) if rest else module
    return clone


def shallow_clone(module: _Module) -> _Module:
    """Return a module object with the same parameters, buffers and submodules.

    Parameters and buffers are in shared dicts, so a conversion of the original stays in sync.
    Hooks and submodules are in dicts of its own, so changes to them stay apart.

    Raises:
        UnsupportedModelError: The module has its own `forward`, bound to the original object.
    """
    if "forward" in module.__dict__:
        raise UnsupportedModelError(
            f"the forward pass of a {type(module).__name__} is replaced by a hook, as accelerate "
            "does for device_map: load the model on one device, without device_map, or share it "
            "between processes with DistributedConfig(tp_size=...) of transformers"
        )
    clone = module.__class__.__new__(module.__class__)
    clone.__dict__.update(module.__dict__)
    for name, value in module.__dict__.items():
        if name == "_modules" or ("_hooks" in name and isinstance(value, dict)):
            clone.__dict__[name] = value.copy()
    for name in _COMPILED:
        clone.__dict__.pop(name, None)
    return clone


class _Blending:
    """A hook that gives a layer a mix of what earlier slots were given.

    Args:
        slot: Of the layer.
        mix: What it is given; nothing for what the slot before it returns.
        unused: Slots that no later one asks for.
        noted: What slots were given by the slot before them, for those that others ask for.
    """

    def __init__(self, slot: int, mix: Mix, unused: list[int], noted: dict[int, Tensor]) -> None:
        self.slot = slot
        self.mix = mix
        self.unused = unused
        self.noted = noted

    def __call__(
        self, _layer: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, object]
    ) -> tuple[tuple[Tensor, ...], dict[str, object]]:
        states, *others = args
        self.noted[self.slot] = states
        if self.mix:
            parts = [weight * self.noted[self.slot - distance] for distance, weight in self.mix]
            states = torch.stack(parts).sum(0)
        for slot in self.unused:
            del self.noted[slot]
        return (states, *others), kwargs


class _Scaling:
    """A hook that multiplies what a layer adds to the states."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def __call__(
        self,
        _layer: nn.Module,
        args: tuple[Tensor, ...],
        _kwargs: dict[str, object],
        output: Tensor | tuple[Tensor, ...] | list[Tensor],
    ) -> object:
        if isinstance(output, Tensor):
            return scaled(args[0], output, self.scale)
        return type(output)([scaled(args[0], output[0], self.scale), *output[1:]])


def _blend(layers: nn.ModuleList, program: Program) -> None:
    """Give every layer what `Program.layer_inputs` says, and scale what it adds."""
    last_use = {
        slot - distance: slot
        for slot, step in enumerate(program.layer_inputs)
        for distance, _ in mix_of(step)
    }
    noted: dict[int, Tensor] = {}
    for slot, step in enumerate(program.layer_inputs):
        unused = [noted_slot for noted_slot, last in last_use.items() if last == slot]
        if slot in last_use or mix_of(step):
            hook = _Blending(slot, mix_of(step), unused, noted)
            layers[slot].register_forward_pre_hook(hook, with_kwargs=True)
        if scale_of(step) != 1:
            # First, so that what records hidden states sees them scaled.
            hook_of_scale = _Scaling(scale_of(step))
            layers[slot].register_forward_hook(hook_of_scale, with_kwargs=True, prepend=True)


def _check_loop(stack: FrozenModel) -> None:
    """Refuse families that look things up by place in the loop, where a view has slots."""
    config = stack.model.config.get_text_config(decoder=True)
    has_place_for_sharing = hasattr(stack.decoder, "first_kv_shared_layer_idx")
    has_settings = has_place_for_sharing or getattr(config, "is_heterogeneous", False)
    counts_otherwise = config.num_hidden_layers != stack.n_layers
    if has_settings or counts_otherwise or not stack.has_views:
        raise UnsupportedModelError(
            f"the loop of {type(stack.model).__name__} depends on the places of its layers, which "
            "a view would mix up: use stack.generate, stack.choose or stack.loglikelihood"
        )


def _kinds_of_cache(model: PreTrainedModel) -> list[tuple[type, int | None]]:
    """Return what a cache would hold for each layer: its type, and the window if it slides."""
    layers = DynamicCache(config=model.config).layers
    return [(type(layer), getattr(layer, "sliding_window", None)) for layer in layers]


def _layer_at(layer: nn.Module, slot: int, configs: Mapping[int, PreTrainedConfig]) -> nn.Module:
    """Return a clone of a layer that uses cache slot `slot`."""
    clone = _renumbered(layer, slot, configs)
    if clone is layer:
        raise UnsupportedModelError(
            f"{type(layer).__name__} has no layer_idx that names its cache slot: "
            "use stack.generate, or another family"
        )
    return clone


def _renumbered(module: nn.Module, slot: int, configs: Mapping[int, PreTrainedConfig]) -> nn.Module:
    """Clone `module` and all submodules on the way to a `layer_idx`; return others as they are."""
    children = {
        name: child and _renumbered(child, slot, configs) for name, child in module._modules.items()
    }
    is_numbered = "layer_idx" in module.__dict__
    if not is_numbered and all(children[name] is module._modules[name] for name in children):
        return module
    clone = shallow_clone(module)
    clone._modules = children
    if is_numbered:
        clone.__dict__["layer_idx"] = slot
    if "config" in clone.__dict__:
        config = clone.__dict__["config"]
        clone.__dict__["config"] = configs.get(id(config), config)
    return clone


def _reindexed_configs(stack: FrozenModel, path: Sequence[int]) -> dict[int, PreTrainedConfig]:
    """Copy every config on the way to the layers, with per-layer lists in program order.

    Returns:
        The copies by `id` of the original; nested configs stay nested.
    """
    configs: dict[int, PreTrainedConfig] = {}
    for owner in _owners(stack.model, stack.layers_path):
        for config in (owner.config, owner.config.get_text_config(decoder=True)):
            configs[id(config)] = config
    memo: dict[int, object] = {}
    copies = {key: copy.deepcopy(config, memo) for key, config in configs.items()}
    own = [new.get_text_config(decoder=True) for new in copies.values()]
    for config in {id(one): one for one in own}.values():
        _reindex(config, path)
    return copies


def _owners(model: PreTrainedModel, path: str) -> list[PreTrainedModel]:
    """Return the modules with a config from `model` down to the owner of the layers."""
    names = path.split(".")
    modules = [model.get_submodule(".".join(names[:depth])) for depth in range(len(names))]
    return [module for module in modules if "config" in module.__dict__]


def _reindex(config: PreTrainedConfig, path: Sequence[int]) -> None:
    """Make a text config describe a model whose layers are `path`."""
    n_layers = config.num_hidden_layers
    config.num_hidden_layers = len(path)
    for name, value in vars(config).items():
        if name in _N_FIRST_LAYERS_NAMES and isinstance(value, int):
            config.__dict__[name] = sum(layer < value for layer in path)
        if not isinstance(value, list | tuple):
            continue
        if name in _LAYER_INDEX_NAMES and all(isinstance(layer, int) for layer in value):
            new = [slot for slot, layer in enumerate(path) if layer in value]
        elif len(value) == n_layers and ("layer" in name or name in _PER_LAYER_NAMES):
            new = [value[layer] for layer in path]
        else:
            continue
        config.__dict__[name] = type(value)(new)
