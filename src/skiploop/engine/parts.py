"""Parts of layers that are compiled: one function of tokens, a few kernels in place of many.

As Hugging Face writes them, a norm is eight kernels and a rotary embedding ten, which read and
write the same numbers again and again. What they compute for a token does not depend on other
tokens. So rows and their tokens are put one after the other, and a part is compiled twice: for any
number of tokens, and for one alone. Layers with parts of the same shape share it.

Shapes: N tokens of all rows, B rows, T tokens of each, D numbers of a token, H heads, S head size.
"""

from __future__ import annotations

import logging
import threading
import types
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

PATIENCE = 4_000_000  # layer-tokens: running them takes about as long as compiling, some seconds
LEAST_CALL = 2_000  # tokens that a call of fewer counts as: launching its kernels takes as long
EXACT = {"options": {"emulate_precision_casts": True}}  # rounds where the model rounds

one_at_a_time = threading.Lock()  # to compile, and to record graphs, in a process
_log = logging.getLogger("skiploop")


class Flat(NamedTuple):
    """Inputs of a part with their tokens one after the other.

    Attributes:
        inputs: What the part is given; the first dimension of every tensor is N.
        back: Gives an output the shape that it has without this.
    """

    inputs: tuple[Any, ...]
    back: Callable[[Any], Any]


class Parts:
    """What a stack compiles, and whether it is time to.

    Args:
        devices: Types of device on which compiling pays.
        patience: Layer-tokens that run as they are before.
        settings: For `torch.compile`.
    """

    def __init__(
        self,
        devices: tuple[str, ...] = ("cuda",),
        patience: int = PATIENCE,
        settings: Mapping[str, Any] = EXACT,
    ) -> None:
        self._devices = devices
        self._patience = patience
        self._settings = settings
        self._made: dict[object, Part] = {}
        self._n_run = 0

    def note_call(self, n_sequences: int, n_tokens: int) -> None:
        """Count one call of a layer on sequences of so many tokens each."""
        self._n_run += max(n_sequences * n_tokens, LEAST_CALL)

    def pay(self, device: torch.device) -> bool:
        """Whether what ran so far took as long as compiling takes, so that more may come."""
        return device.type in self._devices and self._n_run >= self._patience

    def part(
        self, key: object, function: Callable[..., Any], flat: Callable[..., Flat | None]
    ) -> Part:
        """Return the part with this key; made of the others if there is none."""
        if key not in self._made:
            part = Part(function, flat, self._settings)
            self._made.setdefault(key, part)  # in one step: other threads ask too
        return self._made[key]


class Part:
    """A function that runs as a few kernels, or as it is where that is not possible.

    Args:
        function: Computes something of each token from this token alone.
        flat: Puts its inputs into one row; None for inputs that it does not know.
        settings: For `torch.compile`.

    Guarantees:
        The outputs of the function up to rounding: they are compared at the first call. A function
        that cannot be compiled, or not rightly, runs as it is from then on, with a line in the log.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        flat: Callable[..., Flat | None],
        settings: Mapping[str, Any],
    ) -> None:
        self._function = function
        self._flat = flat
        own = with_globals(function, {})  # what is compiled belongs to the code that it is made of
        self._compiled = torch.compile(own, fullgraph=True, dynamic=False, **settings)
        self._proven: set[bool] = set()  # for many tokens, for one
        self._fails = False

    def __call__(self, *inputs: Any, **others: Any) -> Any:  # noqa: ANN401  as the function
        """Return what the function returns."""
        flat = None if self._fails or others else self._flat(*inputs)
        if flat is None:
            return self._function(*inputs, **others)
        if (len(flat.inputs[-1]) > 1) not in self._proven:
            return self._prove(flat, inputs)
        try:
            return self._run(flat)
        except Exception:  # noqa: BLE001  it compiles again, for other types of input, and cannot
            return self._prove(flat, inputs)

    def _run(self, flat: Flat) -> Any:  # noqa: ANN401
        for tensor in flat.inputs:
            if isinstance(tensor, Tensor) and len(tensor) > 1:
                torch._dynamo.mark_dynamic(tensor, 0)
        return flat.back(self._compiled(*flat.inputs))

    def _prove(self, flat: Flat, inputs: tuple[Any, ...]) -> Any:  # noqa: ANN401
        """Compile, and return the outputs of the function itself; never while a graph records."""
        expected = self._function(*inputs)
        if inputs[-1].is_cuda and torch.cuda.is_current_stream_capturing():
            return expected
        with one_at_a_time, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as advice to turn TF32 on
            try:
                if not _alike(self._run(flat), expected):
                    raise ArithmeticError("its numbers differ")
            except Exception as error:  # noqa: BLE001  of any compiler
                self._fails = not isinstance(error, torch.OutOfMemoryError)
                name = self._function.__qualname__
                _log.info("%s stays as it is: it cannot be compiled (%s)", name, error)
            else:
                self._proven.add(len(flat.inputs[-1]) > 1)
        return expected


def of_states(module: nn.Module, states_BTD: Tensor) -> Flat | None:
    """Put the states that a module is given into one row."""
    if not states_BTD.numel():
        return None
    states_ND = states_BTD.reshape(-1, states_BTD.shape[-1])
    return Flat((module, states_ND), lambda out_ND: out_ND.view(*states_BTD.shape[:-1], -1))


def of_heads(*inputs: Tensor) -> Flat | None:
    """Put queries, keys, cosines and sines into one row, each token with all of its heads."""
    if [tensor.ndim for tensor in inputs] != [4, 4, 3, 3] or not inputs[0].numel():
        return None
    B, _, T, _ = inputs[0].shape
    if inputs[1].shape[::2] != (B, T) or any(tensor.shape[1] != T for tensor in inputs[2:]):
        return None
    heads_NH1S = [
        x_BHTS.transpose(1, 2).reshape(B * T, -1, 1, x_BHTS.shape[-1]) for x_BHTS in inputs[:2]
    ]
    turns_N1S = [x_BTS.expand(B, -1, -1).reshape(B * T, 1, -1) for x_BTS in inputs[2:]]
    return Flat(
        (*heads_NH1S, *turns_N1S),
        lambda out: tuple(x_NH1S.view(B, T, x_NH1S.shape[1], -1).transpose(1, 2) for x_NH1S in out),
    )


def with_globals(function: Callable[..., Any], others: Mapping[str, Any]) -> Callable[..., Any]:
    """Return the function with some global names that mean something else, and code of its own."""
    copied = types.FunctionType(
        function.__code__.replace(),
        {**function.__globals__, **others} if others else function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copied.__kwdefaults__ = function.__kwdefaults__
    copied.__qualname__ = function.__qualname__
    return copied


def _alike(found: Any, expected: Any) -> bool:  # noqa: ANN401  one or more tensors
    """Whether two outputs are the same but for rounding."""
    if not isinstance(expected, Tensor):
        return len(found) == len(expected) and all(map(_alike, found, expected))
    bound = torch.finfo(expected.dtype).eps ** 0.5
    scale = expected.nan_to_num(0, 0, 0).abs().max().item()
    return found.shape == expected.shape and torch.allclose(
        found, expected, rtol=bound, atol=bound * scale, equal_nan=True
    )
