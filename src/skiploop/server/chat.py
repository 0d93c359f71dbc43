"""A conversation -> the prompt that the model's chat template makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from skiploop.errors import one_line
from skiploop.server.errors import wrong

if TYPE_CHECKING:
    from skiploop.server.protocol import Message

_FIELD = "messages"


def chat_prompt(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> str:
    """Return a conversation as the model has learned to read it.

    A template that knows no system role gets what the system says at the start of the first turn of
    the user.

    Raises:
        ApiError: The model has no template, or it refuses the conversation.
    """
    if not tokenizer.chat_template:
        raise wrong(
            _FIELD, "this model has no chat template: write the prompt yourself, /v1/completions"
        )
    turns = [{"role": _role(message), "content": message.text} for message in messages]
    for said in (turns, _system_told_by_user(turns)):
        try:
            return _rendered(tokenizer, said)
        except (TemplateError, TypeError, ValueError) as error:
            why = one_line(error)
    raise wrong(_FIELD, f"the chat template of this model refuses the conversation: {why}")


def _rendered(tokenizer: PreTrainedTokenizerBase, turns: Sequence[dict[str, str]]) -> str:
    prompt: str = tokenizer.apply_chat_template(
        list(turns), tokenize=False, add_generation_prompt=True
    )
    return prompt


def _role(message: Message) -> str:
    return "system" if message.role == "developer" else message.role


def _system_told_by_user(turns: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Return turns in which the user says first what the system said."""
    said = [turn["content"] for turn in turns if turn["role"] == "system"]
    others = [turn for turn in turns if turn["role"] != "system"]
    if not said or not others or others[0]["role"] != "user":
        return list(turns)
    first = "\n\n".join([*said, others[0]["content"]])
    return [{"role": "user", "content": first}, *others[1:]]
