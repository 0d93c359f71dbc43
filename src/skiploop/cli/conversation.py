"""A conversation with a model, each answer under the program that is chosen for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from skiploop.engine.completion import Completion
from skiploop.engine.decoding.growing import GrowingTexts
from skiploop.engine.options import Options
from skiploop.errors import ProgramError
from skiploop.models.chat import Turn, chat_prompt
from skiploop.server.variants import Chooser, policy_variant
from skiploop.stack import LayerStack


class Conversation:
    """What was said, and what answers next.

    Args:
        stack: The model.
        policy: Chooses a program for each answer.
        options: How answers are written.
        seed: Of the draws of the first answer; each further one has the next.
        system: What the model is told first; empty for nothing.

    Attributes:
        policy: Chooses; may be set to another one at any time.

    Raises:
        ConfigError: The model has no chat template.
    """

    def __init__(
        self, stack: LayerStack, policy: Chooser, options: Options, *, seed: int, system: str
    ) -> None:
        self.policy = policy
        self._stack = stack
        self._options = options
        self._seed = seed
        self._start = [Turn("system", system)] if system else []
        self._turns: list[Turn] = list(self._start)
        chat_prompt(stack.tokenizer, [*self._start, Turn("user", "Hello")])

    def clear(self) -> None:
        """Forget what was said."""
        self._turns = list(self._start)

    def answer(self, message: str, told: Callable[[int, str], None]) -> Completion:
        """Answer a message.

        An answer that is interrupted is remembered as far as it was written.

        Args:
            message: What the user says.
            told: Is told 0 and what is written so far, with every token.

        Raises:
            ConfigError: The chat template refuses the conversation.
            BatchError: The conversation is too long for the model or its memory.
            ProgramError: The program makes logits that are not numbers.
        """
        turns = [*self._turns, Turn("user", message)]
        prompt = chat_prompt(self._stack.tokenizer, turns)
        seeds = [self._seed + len(turns)] if self._options.sampling else []
        options = replace(self._options, seeds=seeds)
        written = ""

        def note(row: int, text: str) -> None:
            nonlocal written
            written = text
            told(row, text)

        growing = GrowingTexts(self._stack, options, note)
        try:
            program = policy_variant(self.policy.name, self.policy).program(prompt)
            for column in self._stack.stream([prompt], program, options):
                growing.add(column)
        except KeyboardInterrupt:
            self._turns = [*turns, Turn("assistant", written)]
            raise
        (completion,) = column.finished.values()
        if completion.stopped_by == "nan":
            raise ProgramError(
                f"the model's logits are not numbers under {completion.program}: choose another one"
            )
        self._turns = [*turns, Turn("assistant", completion.text)]
        return completion
