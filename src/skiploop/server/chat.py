"""The messages of a request -> the prompt that the model's chat template makes of them."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from skiploop.errors import ConfigError, one_line
from skiploop.models.chat import Turn, chat_prompt
from skiploop.server.errors import wrong
from skiploop.server.protocol import Message


def prompt_of(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> str:
    """Return a conversation as the model has learned to read it.

    Raises:
        ApiError: The model has no template, or it refuses the conversation.
    """
    try:
        return chat_prompt(tokenizer, [Turn(_role(one), one.text) for one in messages])
    except ConfigError as error:
        raise wrong("messages", one_line(error)) from error


def _role(message: Message) -> str:
    return "system" if message.role == "developer" else message.role
