"""Windows of text, on which layers are measured where nothing is answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from skiploop.engine.batching.encoding import encode
from skiploop.errors import DataError
from skiploop.stack import LayerStack
from skiploop.tasks.base import Example, Task

N_TOKENS = 128
"""Tokens of a window."""

N_WINDOWS = 16
"""Windows at most."""


def windows(
    stack: LayerStack,
    texts: Iterable[str],
    *,
    n_tokens: int = N_TOKENS,
    n_windows: int = N_WINDOWS,
) -> list[tuple[int, ...]]:
    """Cut texts, one after the other, into windows of tokens; what is left at the end is not used.

    Args:
        stack: Its tokenizer reads the texts.
        texts: Any, best such as the model will meet; no more of them are read than needed.
        n_tokens: Tokens of each window.
        n_windows: Windows at most.

    Raises:
        DataError: The texts are shorter than one window.
    """
    tokens: list[int] = []
    for text in texts:
        if len(tokens) >= n_tokens * n_windows:
            break
        tokens += encode(stack, [text])[0]
    if len(tokens) < n_tokens:
        raise DataError(
            f"the calibration text has {len(tokens)} tokens, fewer than one window of {n_tokens}: "
            "give more text"
        )
    ends = range(n_tokens, min(len(tokens), n_tokens * n_windows) + 1, n_tokens)
    return [tuple(tokens[end - n_tokens : end]) for end in ends]


def solved(task: Task, examples: Iterable[Example]) -> Iterator[str]:
    """Yield the prompts of some questions, each with its right answer behind it."""
    for example in examples:
        yield f"{task.prompt(example)}{task.draft(example) or f' {example.gold}'}\n\n"
