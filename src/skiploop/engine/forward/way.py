"""How rows may share a batch without changing each other: what a family allows.

Not every family can tell padding from tokens, or keeps its states where a cache can hold them. What
is right for a model is found when it is loaded, by trying.
"""

from __future__ import annotations

from enum import IntEnum


class Way(IntEnum):
    """The ways to run rows of different length, the fastest first."""

    PADDED = 0
    """Rows of any length run together, padded on the left, at positions of their own."""
    EQUAL = 1
    """Rows of one length run together; nothing is padded, and the model counts its positions."""
    RECOMPUTED = 2
    """As `EQUAL`, and without a cache: every new token runs all tokens before it again."""

    @property
    def pads(self) -> bool:
        """Whether rows of different length share a batch."""
        return self is Way.PADDED

    @property
    def caches(self) -> bool:
        """Whether keys, values and states are kept for the next tokens."""
        return self is not Way.RECOMPUTED
