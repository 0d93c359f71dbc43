"""What is known of a model before its weights are there: its size, and how it cuts texts."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase

from skiploop.models.declared import build_empty
from skiploop.models.reading import quiet_transformers, reading
from skiploop.models.resolve import is_on_hub, resolve
from skiploop.models.size import Size, size_of

_ADVICE = "check the name, the network and your access to the model"


@dataclass(frozen=True)
class Outline:
    """A model without its weights.

    Attributes:
        size: Its weights, counted.
        tokenizer: Its own.
        n_bytes: Of the weights as they are stored.
    """

    size: Size
    tokenizer: PreTrainedTokenizerBase
    n_bytes: int


def outline(name: str) -> Outline:
    """Return what the configuration and the tokenizer of a model say.

    Of a hub id only these are fetched, a few megabytes.

    Raises:
        UnknownNameError: No such model.
        DownloadError: It cannot be fetched.
        UnsupportedModelError: Its configuration cannot be used.
    """
    place = name if is_on_hub(name) else resolve(name)
    with quiet_transformers(), reading(f"{name!r} cannot be looked at", _ADVICE):
        config = AutoConfig.from_pretrained(place)
        empty = build_empty(config)
        tokenizer = AutoTokenizer.from_pretrained(place)
    size = size_of(empty)
    stored = empty.dtype.itemsize if config.dtype is None else config.dtype.itemsize
    return Outline(size, tokenizer, size.total * stored)
