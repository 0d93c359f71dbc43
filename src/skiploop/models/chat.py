"""A conversation -> the prompt that the model's chat template makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from skiploop.errors import ConfigError, one_line


class Turn(NamedTuple):
    """What was said in a conversation.

    Attributes:
        role: Who said it: `system`, `user` or `assistant`.
        content: What.
    """

    role: str
    content: str


def chat_prompt(tokenizer: PreTrainedTokenizerBase, turns: Sequence[Turn]) -> str:
    """Return a conversation as the model has learned to read it.

    A template that knows no system role gets what the system says at the start of the first turn of
    the user.

    Raises:
        ConfigError: The model has no template, or it refuses the conversation.
    """
    if not tokenizer.chat_template:
        raise ConfigError(
            "this model has no chat template: write whole prompts yourself, for skiploop generate "
            "or /v1/completions"
        )
    for said in (turns, _system_told_by_user(turns)):
        try:
            prompt: str = tokenizer.apply_chat_template(
                [turn._asdict() for turn in said], tokenize=False, add_generation_prompt=True
            )
            return prompt
        except (TemplateError, TypeError, ValueError) as error:
            why = one_line(error)
    raise ConfigError(f"the chat template of this model refuses the conversation: {why}")


def _system_told_by_user(turns: Sequence[Turn]) -> list[Turn]:
    """Return turns in which the user says first what the system said."""
    said = [turn.content for turn in turns if turn.role == "system"]
    others = [turn for turn in turns if turn.role != "system"]
    if not said or not others or others[0].role != "user":
        return list(turns)
    first = "\n\n".join([*said, others[0].content])
    return [Turn("user", first), *others[1:]]
