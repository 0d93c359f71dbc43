"""Layers whose norms, rotary embeddings and feed-forward parts are compiled.

Only these: they are half of the time of a layer on a GPU, and functions of one token. A whole layer
would be compiled anew for every kind of cache and mask, which takes longer than it gains.

Shapes: the letters of the engine (docs/reference/shapes.md); N tokens of all rows, S head size.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from typing import Any

from torch import Tensor, nn

from skiploop.engine.forward.parts import Flat, Function, Part, Parts
from skiploop.models.view import shallow_clone

_ROTARY = "apply_rotary_pos_emb"


def fused(layers: Iterable[nn.Module], parts: Parts) -> list[nn.Module]:
    """Return layers with the same weights whose parts are compiled; others as they are."""
    return [_fused(layer, parts) for layer in layers]


def _fused(module: nn.Module, parts: Parts) -> nn.Module:
    """Return the module, or a clone of it, with everything in it that can be compiled."""
    if "forward" in vars(module):
        return module
    if _is_norm(module) or _is_feed_forward(module):
        may_compile = all(map(_is_untouched, module.modules()))
        part = parts.part(_kind(module), module) if may_compile else None
        if part is None:
            return module
        clone = shallow_clone(module)
        clone.forward = _of_states(part, module)
        return clone
    children = {name: _fused(child, parts) for name, child in module.named_children()}
    rotary = _rotary(type(module).forward, parts)
    if not rotary and all(module._modules[name] is children[name] for name in children):
        return module
    clone = shallow_clone(module)
    clone._modules.update(children)
    if rotary:
        clone.forward = types.MethodType(_with_globals(type(module).forward, rotary), clone)
    return clone


def _is_norm(module: nn.Module) -> bool:
    """Whether states are multiplied by a vector; PyTorch's own norms are one kernel already."""
    return (
        _takes_states(type(module).forward)
        and not (module._modules or module._buffers)
        and not type(module).__module__.startswith("torch.")
        and {weight.ndim for weight in module.parameters()} == {1}
    )


def _is_feed_forward(module: nn.Module) -> bool:
    """Whether states go through linear maps and functions without weights, and nothing else."""
    children = list(module.children())
    return (
        _takes_states(type(module).forward)
        and not (module._parameters or module._buffers)
        and any(type(child) is nn.Linear for child in children)
        and all(type(child) is nn.Linear or _has_nothing(child) for child in children)
    )


@lru_cache
def _takes_states(forward: Callable[..., Any]) -> bool:
    """Whether a forward pass is given nothing else."""
    is_plain = isinstance(forward, types.FunctionType)
    return is_plain and len(inspect.signature(forward).parameters) == 2


def _has_nothing(module: nn.Module) -> bool:
    """Whether a module holds no weights and no other modules, as a non-linear function."""
    return not (module._modules or module._parameters or module._buffers)


def _is_untouched(module: nn.Module) -> bool:
    """Whether no hook looks at what a module is given, and its weights are plain numbers."""
    hooks = module._forward_hooks or module._forward_pre_hooks
    plain = all(type(w) is nn.Parameter for w in module._parameters.values() if w is not None)
    return plain and not hooks and "forward" not in vars(module)


def _kind(module: nn.Module) -> object:
    """Return what modules have in common that differ in the numbers of their weights alone."""
    return tuple(
        (
            name,
            type(part),
            *((n, _setting(value)) for n, value in vars(part).items() if not n.startswith("_")),
            *((w.shape, w.dtype, w.device) for w in part._parameters.values() if w is not None),
        )
        for name, part in module.named_modules()
    )


def _setting(value: object) -> object:
    if isinstance(value, partial):
        value = value.func, *value.args, *value.keywords.items()
    if isinstance(value, tuple):
        return tuple(map(_setting, value))
    return value if isinstance(value, str | int | float) else id(value)


def _of_states(part: Part, module: nn.Module) -> Callable[..., Any]:
    """Return the forward pass of a module that is given states."""
    forward, weights = type(module).forward, tuple(module.parameters())

    def run(*inputs: Any, **others: Any) -> Any:  # noqa: ANN401  as the module
        if others:
            return forward(module, *inputs, **others)
        (states_BTD,) = inputs
        states_ND = states_BTD.reshape(-1, states_BTD.shape[-1]).contiguous()
        flat = Flat((states_ND,), lambda out_ND: out_ND.view(*states_BTD.shape[:-1], -1))
        return part(lambda: forward(module, states_BTD), weights, flat)

    return run


def _of_heads(part: Part, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a rotary function that is given queries, keys or both, and cosines and sines."""

    def run(*inputs: Any, **others: Any) -> Any:  # noqa: ANN401  as the function
        def plain() -> Any:  # noqa: ANN401
            return function(*inputs, **others)

        def with_tokens_first(x: Tensor) -> Tensor:
            return x if others else x.transpose(1, 2)

        if others not in ({}, {"unsqueeze_dim": 2}) or not _are_heads(inputs):
            return plain()
        heads_BTHS = [with_tokens_first(each) for each in inputs[:-2]]
        B, T, _, _ = heads_BTHS[0].shape
        if any(each.shape[:2] != (B, T) for each in heads_BTHS):
            return plain()
        heads_NH1S = [x.reshape(B * T, -1, 1, x.shape[-1]).contiguous() for x in heads_BTHS]
        turns_N1S = [x.expand(B, T, -1).reshape(B * T, 1, -1) for x in inputs[-2:]]
        flat = Flat(
            (*heads_NH1S, *turns_N1S),
            lambda out: with_tokens_first(out.view(B, T, -1, out.shape[-1])),
        )
        return part(plain, (), flat)

    return run


def _are_heads(inputs: tuple[Any, ...]) -> bool:
    """Whether inputs are states of heads, then cosines and sines, as most families have them."""
    return len(inputs) > 2 and [getattr(each, "ndim", 0) for each in inputs] == [
        *[4] * (len(inputs) - 2),
        *(3, 3),
    ]


def _rotary(forward: Any, parts: Parts) -> dict[str, Any]:  # noqa: ANN401  of any module
    """Return the rotary functions that a forward pass calls, by their global names, compiled."""
    if not isinstance(forward, types.FunctionType):
        return {}
    rotary = {}
    for name in forward.__code__.co_names:
        function = forward.__globals__.get(name) if name.startswith(_ROTARY) else None
        if isinstance(function, types.FunctionType):
            part = parts.part(function, Function(function))
            if part is not None:
                rotary[name] = _of_heads(part, function)
    return rotary


def _with_globals(function: Any, others: Mapping[str, Any]) -> Callable[..., Any]:  # noqa: ANN401
    """Return the function with some global names that mean something else."""
    named = {**function.__globals__, **others}
    code, defaults, cells = function.__code__, function.__defaults__, function.__closure__
    copied = types.FunctionType(code, named, function.__name__, defaults, cells)
    copied.__kwdefaults__ = function.__kwdefaults__
    return copied
