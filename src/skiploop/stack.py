"""The frozen model, taken apart: where its layers are, and everything that can be run on them.

Source: arXiv 2606.06574, section 3.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from inspect import Parameter
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from skiploop import arguments
from skiploop.engine.completion import Completion
from skiploop.engine.counters import Work
from skiploop.engine.forward.parts import Parts
from skiploop.engine.forward.way import Way
from skiploop.engine.memory import automatic_memory
from skiploop.errors import BatchError, ConfigError, ProgramError
from skiploop.models import identity
from skiploop.models.finding import (
    accepted_inputs,
    check_supported,
    find_decoder,
    find_layers,
    module_list,
    n_reserved_positions,
)
from skiploop.programs.program import Program

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from skiploop.engine.decoding.prefill_choice import LateChoice
    from skiploop.engine.decoding.row_state import Column
    from skiploop.engine.forward.calling import Calling
    from skiploop.engine.forward.rotary import Switch
    from skiploop.engine.options import Options
    from skiploop.engine.sampling import Sampling


class LayerStack:
    """A frozen causal language model whose layers run in any order that a program gives.

    The model is shared and never changed, apart from inert hooks that Hugging Face itself installs.

    Attributes:
        model: The model as it was given, in evaluation mode.
        name: What was loaded, as tables and records call it.
        layers_path: Dotted path of `layers` in `model`; found if not given.
        layers: The decoder layers.
        n_layers: How many there are.
        memory: Bytes that the keys and values of one batch may take; more rows wait.
        exact: Whether every row runs alone and from its first token, so that its numbers do not
            depend on what else is asked for, to the last bit. Many times slower.
        has_views: Whether `view` is right; False where the check at load found that it fails.
        recorded: Kinds of decode steps that were recorded on a GPU; None once one could not be.
        parts: What of the layers is compiled on a GPU, once much was run.
        work: Counts of what was computed; set it to `Work()` to start again.

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
        memory: int | None = None,
        exact: bool = False,
    ) -> None:
        check_supported(model)
        self.model = model
        self._tokenizer = tokenizer
        self.name = name
        self.layers_path = layers_path or find_layers(model)
        self.layers = module_list(model, self.layers_path)
        self.n_layers = len(self.layers)
        self.memory = automatic_memory(self.device) if memory is None else memory
        self.exact = exact
        self.way = Way.PADDED
        self.has_views = True
        self.recorded: set[tuple[bool, bool]] | None = set()
        self.parts = Parts()
        self.work = Work()
        if tokenizer is not None:
            from skiploop.engine.batching.encoding import warn_of_unknown

            warn_of_unknown(self)

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
    def way(self) -> Way:
        """How rows share a batch: the fastest way that is right for the family."""
        return self._way

    @way.setter
    def way(self, way: Way) -> None:
        self._way = way
        for name in ("attends_fully", "calling", "token_bytes"):  # which depend on it
            vars(self).pop(name, None)

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

    @cached_property
    def token_bytes(self) -> int:
        """Most bytes that the keys and values of one token take in one slot."""
        from skiploop.engine.cache.slots import token_bytes

        return token_bytes(self.model) if self.way.caches else 0

    @cached_property
    def attends_fully(self) -> bool:
        """Whether padding and dropped tokens may stand anywhere in a row; see the cache."""
        from skiploop.engine.cache.slots import attends_fully

        return self.way.pads and attends_fully(self.model)

    @cached_property
    def n_reserved_positions(self) -> int:
        """How many learned positions no token has; none in most models."""
        return n_reserved_positions(self.model)

    @cached_property
    def rotary_switches(self) -> tuple[Switch, ...]:
        """Where rotary tables change with the length of a row; nowhere in most models."""
        from skiploop.engine.forward.rotary import find_switches

        return find_switches(self.model)

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

    @cached_property
    def calling(self) -> Calling:
        """How the model calls its layers."""
        from skiploop.engine.forward.calling import find_calling

        return find_calling(self)

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
        from skiploop.models.view import program_view

        return program_view(self, program)

    def generate(
        self,
        prompts: Sequence[str],
        programs: Sequence[Program] | Program | LateChoice,
        *,
        max_new_tokens: int = 16,
        stop: Sequence[str] = (),
        sampling: Sampling | None = None,
        seeds: Sequence[int] = (),
    ) -> list[Completion]:
        """Continue every prompt under its own program, in mixed batches.

        What rows have in common is computed once: the start of all prompts, and for equal prompts
        the layers that their programs start with.

        Args:
            prompts: Any number of texts.
            programs: One for each prompt, or one for all, or what chooses them by the states after
                the first layers, such as `SelectorPolicy.late()`.
            max_new_tokens: Most tokens to write.
            stop: Strings that end an answer; they are not part of it. They may be or hold special
                tokens. `box.CLOSED_BOX` among them ends it after its first closed box, which is
                part of it.
            sampling: How tokens are drawn; the most likely ones if not given.
            seeds: One for each prompt, needed with `sampling`. In float32 a prompt with the same
                program and seed gets the same tokens whatever else is in the batch.

        Raises:
            BatchError: An argument is empty or does not fit, or a prompt is too long for the model
                or for `memory`.
            ProgramError: A program was made for another number of layers.
        """
        from skiploop.engine.options import Options

        options = Options(max_new_tokens=max_new_tokens, stop=stop, sampling=sampling, seeds=seeds)
        columns = self.stream(prompts, programs, options)
        completions = {row: c for column in columns for row, c in column.finished.items()}
        return [completions[row] for row in sorted(completions)]

    def stream(
        self,
        prompts: Sequence[str],
        programs: Sequence[Program] | Program | LateChoice,
        options: Options,
    ) -> Iterator[Column]:
        """Continue every prompt as `generate` does, and yield the tokens as they come.

        Args:
            prompts: Any number of texts.
            programs: As for `generate`.
            options: How answers are written, and drafts of them.

        Yields:
            Columns: a token for each of some rows, and the completions of the rows that it ends.
            Rows come in batches; those that need much longer than most may be the last ones.

        Raises:
            BatchError: As for `generate`, when the first column is asked for.
            ProgramError: As for `generate`.
        """
        from skiploop.engine.decoding.prefill_choice import LateChoice
        from skiploop.engine.generate import generate
        from skiploop.engine.options import Options

        arguments.instance("options", options, Options, expected="a skiploop.Options")
        prompts = arguments.texts("prompts", prompts)
        options.check(prompts)
        if not isinstance(programs, LateChoice):
            programs = self._one_each(prompts, programs)
        return generate(self, prompts, programs, options)

    def choose(
        self,
        prompts: Sequence[str],
        choices: Sequence[Sequence[str]],
        programs: Sequence[Program] | Program,
    ) -> list[Completion]:
        """Pick, for every prompt, the most likely of its choices as its continuation.

        Likelihood is the log-probability over the number of characters. Ties go to the first one.

        Args:
            prompts: Any number of texts.
            choices: At least one text for each prompt, with the space or newline it starts with.
            programs: One for each prompt, or one for all.

        Returns:
            Completions with a choice as `text` and no `token_ids`. `choice_logprobs` are the
            log-probabilities of the choices if nothing else is possible: the softmax of their
            likelihoods, as above, times the mean length of the choices.

        Raises:
            BatchError: As for `loglikelihood`, or a prompt has no choices.
            ProgramError: A program was made for another number of layers.
        """
        from skiploop.engine.score import choose

        prompts = arguments.texts("prompts", prompts)
        choices = arguments.choices_of(prompts, choices)
        chosen = dict(choose(self, prompts, choices, self._one_each(prompts, programs)))
        return [chosen[index] for index in range(len(prompts))]

    def loglikelihood(
        self,
        prompts: Sequence[str],
        continuations: Sequence[str],
        programs: Sequence[Program] | Program,
    ) -> list[float]:
        """Return the log-probability of each continuation after its prompt.

        The two texts are tokenized together; the tokens after those of the prompt count, and one
        that joins the end of the prompt with the continuation. White space at the end of the
        prompt is moved to the continuation first, where tokenizers expect it. The result is NaN
        where the logits are not numbers.

        Args:
            prompts: Any number of texts.
            continuations: One for each prompt.
            programs: One for each prompt, or one for all.

        Raises:
            BatchError: The lengths differ, or a text is empty or too long.
            ProgramError: A program was made for another number of layers.
        """
        from skiploop.engine.score import loglikelihood

        prompts = arguments.texts("prompts", prompts)
        continuations = arguments.texts("continuations", continuations)
        arguments.one_for_each(prompts, "continuations", continuations)
        scored = loglikelihood(self, prompts, continuations, self._one_each(prompts, programs))
        return [score.logprob for score in scored]

    def hidden_states(self, prompts: Sequence[str], layer: int) -> list[Tensor]:
        """Return what layer `layer` of the plain model is given, for every token of each prompt.

        Args:
            prompts: Any number of texts.
            layer: From 0 (the embeddings) to `n_layers` (what the final norm is given).

        Returns:
            One tensor of shape [T, D] for each prompt, float32, on the CPU.

        Raises:
            BatchError: There is no such layer, or a prompt is empty or too long.

        Cost: `layer` layers; neither the later ones nor the head run.
        """
        from skiploop.engine.score import hidden_states

        prompts, layer = arguments.texts("prompts", prompts), arguments.whole_number("layer", layer)
        if not 0 <= layer <= self.n_layers:
            raise BatchError(
                f"layer {arguments.shown(layer)} is outside 0..{self.n_layers} of {self.name}"
            )
        return hidden_states(self, prompts, layer)

    def _one_each(
        self, prompts: Sequence[str], programs: Sequence[Program] | Program
    ) -> Sequence[Program]:
        """Return one checked program for each prompt."""
        if isinstance(programs, (Program, str)):
            return [self.check(programs)] * len(prompts)
        each = [self.check(p) for p in arguments.listed("programs", programs, of="programs")]
        arguments.one_for_each(prompts, "programs", each)
        return each

    def __repr__(self) -> str:
        return f"LayerStack({self.name!r}, n_layers={self.n_layers}, dtype={self.dtype})"
