"""Texts -> tokens: prompts that a model can go on from, and the tokens of what follows them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from transformers import PreTrainedTokenizerBase

from skiploop.errors import BatchError, ConfigError

if TYPE_CHECKING:
    from skiploop.stack import LayerStack

_log = logging.getLogger("skiploop")


def encode(stack: LayerStack, texts: Sequence[str]) -> list[tuple[int, ...]]:
    """Tokenize texts that a model goes on from.

    They start with the tokens that the tokenizer puts before a text, unless a text brings its own
    start token, as chat templates write it. What the tokenizer puts after a text is left out: an
    end token would end the prompt.

    Raises:
        BatchError: A text has no tokens, or one that the model has no embedding for.
        ConfigError: The tokenizer changes texts where it should put tokens around them.
    """
    start = _start(stack.tokenizer, texts)
    n_embeddings = stack.n_embeddings
    encoded: dict[str, tuple[int, ...]] = {}
    for index, text in enumerate(texts):
        if text in encoded:
            continue
        tokens = _plain(stack.tokenizer, text)
        if tokens[:1] != start[:1]:
            tokens = start + tokens
        if not tokens:
            raise BatchError(f"prompt {index} has no tokens: give every row a text to continue")
        if max(tokens) >= n_embeddings:
            unknown = next(token for token in tokens if token >= n_embeddings)
            name = stack.tokenizer.convert_ids_to_tokens(unknown)
            raise BatchError(
                f"{_shortened(text)} holds {name!r}, token {unknown}, but {stack.name} has "
                f"embeddings for {n_embeddings}: leave it out, or use the tokenizer that the model "
                "was trained with"
            )
        encoded[text] = tokens
    return [encoded[text] for text in texts]


class Pair(NamedTuple):
    """A prompt and what follows it.

    Attributes:
        whole: Tokens of both texts together.
        n_continued: How many of these, at the end, hold something of what follows.
    """

    whole: tuple[int, ...]
    n_continued: int


def encode_pairs(
    stack: LayerStack, prompts: Sequence[str], continuations: Sequence[str]
) -> list[Pair]:
    """Tokenize prompts and continuations together.

    White space at the end of a prompt is moved to the continuation, where tokenizers expect it. A
    token that joins the end of a prompt with its continuation belongs to the latter.

    Raises:
        BatchError: As for `encode`; or a continuation adds no token, takes all tokens of its
            prompt, or is joined with it by a tokenizer that does not tell where.
        ConfigError: As for `encode`.
    """
    texts = [prompt + rest for prompt, rest in zip(prompts, continuations, strict=True)]
    stripped = [prompt.rstrip() for prompt in prompts]
    heads, wholes = encode(stack, stripped), encode(stack, texts)
    pairs = []
    for index, (head, whole) in enumerate(zip(heads, wholes, strict=True)):
        n_continued = len(whole) - len(head)
        if whole[: len(head)] != head:
            n_continued = _n_beyond(stack, stripped[index], texts[index])
        if not 0 < n_continued < len(whole):
            raise BatchError(
                f"continuation {index} {continuations[index]!r} "
                + ("adds no token to" if n_continued < 1 else "takes all tokens of")
                + f" its prompt {_shortened(prompts[index])}: give each a text of its own"
            )
        pairs.append(Pair(whole, n_continued))
    return pairs


def _n_beyond(stack: LayerStack, prompt: str, text: str) -> int:
    """Return how many tokens of a text reach beyond the prompt that it starts with."""
    if not stack.tokenizer.is_fast:
        raise BatchError(
            f"the tokenizer of {stack.name} joins the end of {_shortened(prompt)} with what "
            "follows it and cannot tell where: end the prompt with a space, or use a fast tokenizer"
        )
    encoding = stack.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return sum(stop > len(prompt) for _, stop in encoding["offset_mapping"])


def warn_of_unknown(stack: LayerStack) -> None:
    """Name the tokens that the model has no embedding for; prompts with one are refused."""
    tokenizer, n_known = stack.tokenizer, stack.n_embeddings
    unknown = range(n_known, len(tokenizer))
    if unknown:
        few = ", ".join(map(repr, tokenizer.convert_ids_to_tokens([*unknown[:3]])))
        _log.warning(
            "%s has embeddings for %d tokens, its tokenizer has more (%s%s): prompts with one of "
            "them are refused; resize and train the model, or use the tokenizer it came with",
            stack.name,
            n_known,
            few,
            f" and {len(unknown) - 3} more" if len(unknown) > 3 else "",
        )


def _start(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> tuple[int, ...]:
    """Return the tokens that a tokenizer puts before every text, such as one of these."""
    text = next((text for text in ("a", *texts) if _plain(tokenizer, text)), "")
    plain, dressed = _plain(tokenizer, text), tuple(tokenizer(text)["input_ids"])
    for at in range(len(dressed) - len(plain) + 1):
        if dressed[at : at + len(plain)] == plain:
            return dressed[:at]
    raise ConfigError(
        f"the tokenizer writes {text!r} as {list(plain)} without and as {list(dressed)} with "
        "special tokens: expected the former inside the latter; correct its post-processing"
    )


def _plain(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:28]} ... {text[-28:]}")
