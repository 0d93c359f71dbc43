"""Parts of layers that are compiled: one function of tokens, a few kernels in place of many.

As Hugging Face writes them, a norm is eight kernels and a rotary embedding ten, which read and
write the same numbers again and again. What they compute of a token does not depend on others. So
the tokens of all rows are put one after the other, and a part is compiled twice: for any number of
tokens, and for one alone. It takes its weights as inputs, so all layers share it.

Shapes: the letters of the engine (docs/reference/shapes.md); N tokens of all rows.
"""

from __future__ import annotations

import copy
import logging
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from skiploop.engine.tuning import CUDA, Tuning

MOST_NUMBERS = 2**30  # in a tensor: kernels count them in 32 bits

one_at_a_time = threading.Lock()  # to compile, and to record graphs, in a process
_log = logging.getLogger("skiploop")

_Compiled = Callable[..., Sequence[Tensor]]
Compiler = Callable[[torch.fx.GraphModule, list[Any]], _Compiled]


class Flat(NamedTuple):
    """Inputs of a part with their tokens one after the other.

    Attributes:
        tokens: Contiguous tensors whose first dimension is N.
        back: Gives an output the shape that it has without this.
    """

    tokens: tuple[Tensor, ...]
    back: Callable[[Tensor], Tensor]


class Parts:
    """What a stack compiles, and whether it is time to."""

    def __init__(
        self,
        tuning: Tuning = CUDA,
        compiler: Compiler | None = None,
    ) -> None:
        self._tuning = tuning
        self._compiler = compiler or _inductor
        self._parts: dict[object, Part] = {}
        self._n_run = 0

    def note_call(self, n_sequences: int, n_tokens: int) -> None:
        """Count one call of a layer on sequences of so many tokens each."""
        self._n_run += max(n_sequences * n_tokens, self._tuning.least_call)

    @property
    def pay(self) -> bool:
        """Whether what ran so far took as long as compiling takes, so that more may come."""
        return self._n_run >= self._tuning.patience

    @property
    def n_compiled(self) -> int:
        """How many graphs were compiled, and are used."""
        return sum(part.n_compiled for part in self._parts.values())

    def part(self, key: object, module: nn.Module) -> Part | None:
        """Return the part of all modules with this key; None where there are too many."""
        if key not in self._parts:
            if len(self._parts) >= self._tuning.most_parts:
                return None
            self._parts.setdefault(
                key, Part(module, self._compiler, self._tuning.most_parts)
            )  # other threads ask too
        return self._parts[key]


class Part:
    """Runs modules that differ in their weights alone, as a few kernels or as they are.

    Args:
        module: One of them: computes something of each token from this token alone.
        compiler: As for `Parts`.
        most: Ways to call it that are compiled.

    Guarantees:
        What the module returns, up to rounding: it is compared at the first call. A module that
        cannot be compiled, or not rightly, runs as it is, with one line in the log.
    """

    def __init__(self, module: nn.Module, compiler: Compiler, most: int) -> None:
        self._module = module
        self._most = most
        self._compiler = compiler
        self._compiled: dict[object, _Compiled | None] = {}

    @property
    def n_compiled(self) -> int:
        """How many graphs were compiled, and are used."""
        return sum(compiled is not None for compiled in self._compiled.values())

    def __call__(self, plain: Callable[[], Any], weights: Sequence[Tensor], flat: Flat) -> Any:  # noqa: ANN401  one or more tensors
        """Return what a module returns."""
        tokens = flat.tokens
        n_tokens = len(tokens[0])
        if torch.is_grad_enabled() or not n_tokens:
            return plain()
        if n_tokens > 1 and n_tokens * _widest(weights, tokens) > MOST_NUMBERS:
            return plain()
        key = n_tokens > 1, tokens[0].device, *((each.dtype, each.shape[1:]) for each in tokens)
        if key not in self._compiled:
            return self._prove(key, plain(), weights, flat)
        compiled = self._compiled[key]
        return plain() if compiled is None else _outputs(compiled, weights, flat)

    def _prove(self, key: object, expected: Any, weights: Sequence[Tensor], flat: Flat) -> Any:  # noqa: ANN401  one or more tensors
        """Compile, compare, and return what is expected. Never while a graph is recorded."""
        if flat.tokens[0].is_cuda and torch.cuda.is_current_stream_capturing():
            return expected
        with one_at_a_time, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as advice to turn TF32 on
            if key in self._compiled:
                return expected
            try:
                if len(self._compiled) >= self._most:
                    raise OverflowError("it is called in too many ways")
                compiled = _compile(self._module, flat.tokens, self._compiler)
                if not _alike(_outputs(compiled, weights, flat), expected):
                    raise ArithmeticError("its numbers differ")
            except torch.OutOfMemoryError:
                return expected
            except Exception as error:  # noqa: BLE001  of any compiler
                self._compiled[key] = None
                _log.info("%s runs as it is, not compiled (%s)", _name(self._module), error)
            else:
                self._compiled[key] = compiled
        return expected


class Function(nn.Module):
    """A function as a module without weights."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Any:  # noqa: ANN401  one or more tensors
        """Return what the function returns."""
        return self.function(*inputs)


def _compile(module: nn.Module, tokens: tuple[Tensor, ...], compiler: Compiler) -> _Compiled:
    """Return a function of a module's parameters and of tokens, of any number if not of one."""
    from torch.export import Dim, export  # slow to import

    sizes: Any = None
    if len(tokens[0]) > 1:
        n_tokens = Dim("n_tokens", min=2)
        sizes = tuple({0: n_tokens} for _ in tokens)
        sizes = (sizes,) if isinstance(module, Function) else sizes
    weights = {id(weight): weight for weight in module.parameters()}
    module = copy.deepcopy(module, dict(weights))  # export puts others in their place for a while
    with torch.no_grad():
        exported = export(module, tokens, dynamic_shapes=sizes, strict=False)
        names = [name for name, _ in module.named_parameters()]
        inputs = exported.graph_signature.input_specs
        if [spec.target for spec in inputs] != [*names, *[None] * len(tokens)]:
            raise TypeError("it needs more than its parameters and tokens")
        graph = exported.graph_module
        return compiler(graph, [n.meta["val"] for n in graph.graph.nodes if n.op == "placeholder"])


def _inductor(graph: torch.fx.GraphModule, examples: list[Any]) -> _Compiled:
    rounded = {"emulate_precision_casts": True}  # where the model rounds
    compiled: _Compiled = torch._inductor.compile(graph, examples, options=rounded)
    return compiled


def _outputs(compiled: _Compiled, weights: Sequence[Tensor], flat: Flat) -> Any:  # noqa: ANN401
    outputs = tuple(map(flat.back, compiled(*weights, *flat.tokens)))
    return outputs if len(outputs) > 1 else outputs[0]


def _widest(weights: Sequence[Tensor], tokens: Sequence[Tensor]) -> int:
    """Return the most numbers that a part makes of a token."""
    return max([len(weight) for weight in weights] + [each[0].numel() for each in tokens])


def _alike(found: Any, expected: Any) -> bool:  # noqa: ANN401  one or more tensors
    """Whether two outputs are the same but for rounding."""
    if not isinstance(expected, Tensor):
        return len(found) == len(expected) and all(map(_alike, found, expected))
    bound = torch.finfo(expected.dtype).eps ** 0.5
    scale = expected.nan_to_num(0, 0, 0).abs().max().item()
    return found.shape == expected.shape and torch.allclose(
        found, expected, rtol=bound, atol=bound * scale, equal_nan=True
    )


def _name(module: nn.Module) -> str:
    return module.function.__name__ if isinstance(module, Function) else type(module).__name__
