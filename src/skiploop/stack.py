"""A frozen model and everything that can be run on its layers.

Source: arXiv 2606.06574, section 3.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from skiploop import arguments
from skiploop.engine.batching.encoding import encode_pairs, warn_of_unknown
from skiploop.engine.cache import slots
from skiploop.engine.completion import Completion
from skiploop.engine.counters import Work
from skiploop.engine.decoding.prefill_choice import ChoosesInPrefill
from skiploop.engine.decoding.row_state import TokenColumn
from skiploop.engine.forward.calling import Calling, find_calling
from skiploop.engine.forward.parts import Parts
from skiploop.engine.forward.rotary import Switch, find_switches
from skiploop.engine.forward.way import Way
from skiploop.engine.generate import generate
from skiploop.engine.memory import automatic_memory
from skiploop.engine.options import Options
from skiploop.engine.sampling import Sampling
from skiploop.engine.score import choose, hidden_states, loglikelihood
from skiploop.engine.tuning import Tuning, tuning_of
from skiploop.errors import BatchError
from skiploop.models.frozen import FrozenModel
from skiploop.programs.program import Program


class LayerStack(FrozenModel):
    """A frozen causal language model whose layers run in any order that a program gives.

    Attributes:
        memory: Bytes that the keys and values of one batch may take; more rows wait.
        exact: Whether every row runs alone and from its first token, so that its numbers do not
            depend on what else is asked for, to the last bit. Many times slower.
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
        super().__init__(model, tokenizer, name=name, layers_path=layers_path)
        self.memory = automatic_memory(self.device) if memory is None else memory
        self.exact = exact
        self.way = Way.PADDED
        self.recorded: set[tuple[bool, bool]] | None = set()
        self.parts = Parts(self.tuning)
        self.work = Work()
        if tokenizer is not None:
            warn_of_unknown(self)

    @property
    def tuning(self) -> Tuning:
        """What is fast on the device where the model is."""
        return tuning_of(self.device)

    @property
    def way(self) -> Way:
        """How rows share a batch: the fastest way that is right for the family."""
        return self._way

    @way.setter
    def way(self, way: Way) -> None:
        self._way = way
        for name in ("attends_fully", "calling", "token_bytes"):  # which depend on it
            vars(self).pop(name, None)

    @cached_property
    def token_bytes(self) -> int:
        """Most bytes that the keys and values of one token take in one slot."""
        return self.kv_size.widest if self.way.caches else 0

    def kv_bytes(self, program: Program, n_tokens: int) -> int | None:
        """Return the bytes of the keys and values of one row after some tokens.

        None where the model keeps none from one token to the next, or keeps something else.
        """
        return self.kv_size.of(program.path, n_tokens) if self.way.caches else None

    @cached_property
    def attends_fully(self) -> bool:
        """Whether padding and dropped tokens may stand anywhere in a row; see the cache."""
        return self.way.pads and slots.attends_fully(self.model)

    @cached_property
    def rotary_switches(self) -> tuple[Switch, ...]:
        """Where rotary tables change with the length of a row; nowhere in most models."""
        return find_switches(self.model)

    @cached_property
    def calling(self) -> Calling:
        """How the model calls its layers."""
        return find_calling(self)

    def generate(
        self,
        prompts: Sequence[str],
        programs: Sequence[Program] | Program | ChoosesInPrefill,
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
                the first layers, such as `SelectorPolicy.during_prefill()`.
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
        options = Options(max_new_tokens=max_new_tokens, stop=stop, sampling=sampling, seeds=seeds)
        columns = self.stream(prompts, programs, options)
        completions = {row: c for column in columns for row, c in column.finished.items()}
        return [completions[row] for row in sorted(completions)]

    def stream(
        self,
        prompts: Sequence[str],
        programs: Sequence[Program] | Program | ChoosesInPrefill,
        options: Options,
    ) -> Iterator[TokenColumn]:
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
        arguments.instance("options", options, Options, expected="a skiploop.Options")
        prompts = arguments.texts("prompts", prompts)
        options.check(prompts)
        if not isinstance(programs, ChoosesInPrefill):
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
        prompts = arguments.texts("prompts", prompts)
        continuations = arguments.texts("continuations", continuations)
        arguments.one_for_each(prompts, "continuations", continuations)
        each = self._one_each(prompts, programs)
        scored = loglikelihood(self, encode_pairs(self, prompts, continuations), each)
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
