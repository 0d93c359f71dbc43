"""Layers whose norms, rotary embeddings and feed-forward parts are compiled.

Only these: they are half of the time of a layer on a GPU, and functions of one token. A whole layer
would be compiled anew for every kind of cache and mask, which takes longer than it gains.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from functools import partial
from types import FunctionType, MethodType
from typing import Any

from torch import nn

from skiploop.engine.parts import Parts, of_heads, of_states, with_globals
from skiploop.view import shallow_clone

_ROTARY = "apply_rotary_pos_emb"


def fused(layers: Iterable[nn.Module], parts: Parts) -> list[nn.Module]:
    """Return layers with the same weights whose parts are compiled; others as they are."""
    return [_fused(layer, parts) for layer in layers]


def _fused(module: nn.Module, parts: Parts) -> nn.Module:
    """Return the module, or a clone of it, with everything in it that can be compiled."""
    if "forward" in vars(module):
        return module
    forward = type(module).forward
    if _is_norm(module) or _is_feed_forward(module):
        clone = shallow_clone(module)
        key = type(module), tuple(weight.shape for weight in module.parameters())
        clone.forward = partial(parts.part(key, forward, of_states), module)
        return clone
    children = {name: _fused(child, parts) for name, child in module.named_children()}
    rotary = _rotary(forward, parts)
    if not rotary and all(module._modules[name] is children[name] for name in children):
        return module
    clone = shallow_clone(module)
    clone._modules.update(children)
    if rotary:
        clone.forward = MethodType(with_globals(forward, rotary), clone)
    return clone


def _is_norm(module: nn.Module) -> bool:
    """Whether states are multiplied by a vector; PyTorch's own norms are one kernel already."""
    return (
        _takes_states(module)
        and not module._modules
        and not type(module).__module__.startswith("torch.")
        and {weight.ndim for weight in module.parameters()} == {1}
    )


def _is_feed_forward(module: nn.Module) -> bool:
    """Whether states go through linear maps and functions without weights, and nothing else."""
    children = list(module.children())
    own = [*module._parameters, *module._buffers]
    return (
        _takes_states(module)
        and not own
        and any(type(child) is nn.Linear for child in children)
        and all(type(child) is nn.Linear or _has_nothing(child) for child in children)
    )


def _takes_states(module: nn.Module) -> bool:
    forward: Any = type(module).forward
    return isinstance(forward, FunctionType) and len(inspect.signature(forward).parameters) == 2


def _has_nothing(module: nn.Module) -> bool:
    """Whether a module holds no weights and no other modules, as a non-linear function."""
    return not (module._modules or module._parameters or module._buffers)


def _rotary(forward: Any, parts: Parts) -> dict[str, Any]:  # noqa: ANN401  of any module
    """Return the rotary functions that a forward pass calls, by their global names, compiled."""
    if not isinstance(forward, FunctionType):
        return {}
    named = {name: forward.__globals__.get(name) for name in forward.__code__.co_names}
    return {
        name: parts.part(function, function, of_heads)
        for name, function in named.items()
        if name.startswith(_ROTARY) and isinstance(function, FunctionType)
    }
