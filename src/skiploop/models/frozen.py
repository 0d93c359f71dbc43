"""The frozen model: where its layers are, and who it is.

Source: arXiv 2606.06574, section 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from inspect import Parameter

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from skiploop import arguments
from skiploop.errors import ConfigError, ProgramError
from skiploop.models import identity
from skiploop.models.finding import (
    accepted_inputs,
    check_supported,
    find_decoder,
    find_layers,
    module_list,
    n_reserved_positions,
)
from skiploop.models.kv_size import KVSize, find_kv_size
from skiploop.models.view import program_view
from skiploop.programs.program import Program


class FrozenModel:
    """A frozen causal language model, taken apart.

    The model is shared and never changed, apart from inert hooks that Hugging Face itself installs.

    Attributes:
        model: The model as it was given, in evaluation mode.
        name: What was loaded, as tables and records call it.
        layers_path: Dotted path of `layers` in `model`; found if not given.
        layers: The decoder layers.
        n_layers: How many there are.
        has_views: Whether `view` is right; False where the check at load found that it fails.

    Raises:
        UnsupportedModelError: The layers are not found or depend on their place in the loop.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase | None,
        *,
        name: str,
        layers_path: str | None = None,
    ) -> None:
        check_supported(model)
        self.model = model
        self._tokenizer = tokenizer
        self.name = name
        self.layers_path = layers_path or find_layers(model)
        self.layers = module_list(model, self.layers_path)
        self.n_layers = len(self.layers)
        self.has_views = True

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer; ConfigError if there is none."""
        if self._tokenizer is None:
            raise ConfigError(
                f"{self.name} was loaded without a tokenizer: "
                "give one, as in load(model, tokenizer=AutoTokenizer.from_pretrained(...))"
            )
        return self._tokenizer

    @property
    def decoder(self) -> nn.Module:
        """The module that takes tokens and runs them through the layers."""
        decoder: nn.Module = self.model.get_submodule(self.decoder_path)
        return decoder

    @cached_property
    def decoder_path(self) -> str:
        """Dotted path of `decoder` in `model`."""
        return find_decoder(self.model, self.layers_path)

    @cached_property
    def accepted(self) -> Mapping[str, Parameter]:
        """The inputs that the model names."""
        return accepted_inputs(self.model)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = self.model.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""
        dtype: torch.dtype = self.model.dtype
        return dtype

    @property
    def width(self) -> int:
        """Numbers of a hidden state."""
        width: int = self.model.config.get_text_config(decoder=True).hidden_size
        return width

    @cached_property
    def n_reserved_positions(self) -> int:
        """How many learned positions no token has; none in most models."""
        return n_reserved_positions(self.model)

    @cached_property
    def kv_size(self) -> KVSize:
        """How much memory keys and values take, in a model that keeps them in a cache."""
        return find_kv_size(self.model, self.n_layers)

    @cached_property
    def weights_id(self) -> str:
        """Sixteen hexadecimal digits that identify the weights.

        A hash of the family, of the names and shapes of all parameters, and of a few numbers of
        each one, rounded to bfloat16: a float32 and a bfloat16 copy have the same id.
        """
        return identity.weights_id(self.model)

    @property
    def model_id(self) -> str:
        """A text that changes with all that changes the model's numbers, but the number format.

        `weights_id`, a checksum of all weights, and eight digits each of the configuration and the
        tokenizer; see docs/reference/identity.md, also for what it costs.
        """
        others = identity.config_id(self.model), identity.tokenizer_id(self._tokenizer)
        return "-".join([self.weights_id, self._checksum, *others])

    @cached_property
    def _checksum(self) -> str:
        return identity.weights_checksum(self.model)

    @property
    def n_embeddings(self) -> int:
        """How many tokens the model knows; a tokenizer may have more or fewer."""
        return len(self.model.get_input_embeddings().weight)

    def check(self, program: object) -> Program:
        """Return a program; ProgramError if it is none, or made for another number of layers."""
        such = f"a Program, such as Program.parse('3:5x0', n_layers={self.n_layers})"
        program = arguments.instance("program", program, Program, expected=such, error=ProgramError)
        if program.n_layers != self.n_layers:
            raise ProgramError(
                f"program {program} was made for {program.n_layers} layers, "
                f"{self.name} has {self.n_layers}: parse it with n_layers={self.n_layers}"
            )
        return program

    def view(self, program: Program) -> PreTrainedModel:
        """Return a Hugging Face model that runs `program` with the weights of this one.

        Raises:
            ProgramError: The program was made for another number of layers.
            UnsupportedModelError: A hook replaces the forward pass of a layer.

        Cost:
            About a millisecond and no memory for weights.
        """
        return program_view(self, program)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, n_layers={self.n_layers}, dtype={self.dtype})"
