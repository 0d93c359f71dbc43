"""What the text of a prompt tells, without any model: a control for its states.

A selector that reads these features finds what spelling gives away, such as how many digits a
number has, or which solved questions come first. What it gains, no hidden state was needed for.

Shapes: the letters of learning (docs/reference/shapes.md).

Source: feature hashing, arXiv 0902.2206.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import torch
from torch import Tensor

from skiploop.tasks.base import Example

WIDTH = 256
"""Numbers that describe a text."""

_NUMBER = re.compile(r"\d+")


class SurfaceText:
    """Describes a prompt by the spelling of its question and of what comes before it.

    The two are apart: where all questions come after the same text, it tells nothing.

    Args:
        example_of: The question of every prompt that will be asked.
    """

    def __init__(self, example_of: Mapping[str, Example]) -> None:
        self._example_of = example_of
        self._hashed = cache(hashed)  # the same solved questions come before many
        self.width = 2 * WIDTH
        self.spec = {"kind": "surface"}

    def encode(self, prompts: Sequence[str]) -> list[Tensor]:
        """Return one row for each prompt."""
        return [self._row(prompt, self._example_of[prompt])[None] for prompt in prompts]

    def _row(self, prompt: str, example: Example) -> Tensor:
        before, _, _ = prompt.rpartition(example.question)
        asked = "\n".join((example.question, *example.choices))
        return torch.cat([hashed(asked), self._hashed(before)])


def hashed(text: str) -> Tensor:
    """Return features_E of a text: hashed counts, the same on every machine."""
    features_E = [0.0] * WIDTH
    for mark, count in Counter(_marks(text)).items():
        found = zlib.crc32(mark.encode(errors="surrogatepass"))
        sign = 1 if found & 1 else -1
        features_E[(found >> 1) % WIDTH] += sign * math.log1p(count)
    return torch.tensor(features_E)


def _marks(text: str) -> Iterator[str]:
    """Yield what is counted: length, first and last digit of each number, and what is around."""
    for place, number in enumerate(_NUMBER.findall(text)):
        yield f"length of {place}: {len(number)}"
        yield f"first of {place}: {number[0]}"
        yield f"last of {place}: {number[-1]}"
    shape = re.sub(r"\d", "d", text)
    for size in (1, 2, 3):
        for start in range(len(shape) - size + 1):
            yield shape[start : start + size]
