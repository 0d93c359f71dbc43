r"""The `\boxed{...}` of an answer: where it starts and where it closes."""

from __future__ import annotations

import re

BOX = "oxed{"
"""What opens a box, `\\boxed{` or `\\fboxed{`."""

CLOSED_BOX = "\\boxed{...}"
"""Among stop strings, it ends an answer after the first box that is closed."""

_BRACES = re.compile(r"[{}]")


def box_end(text: str, start: int) -> int | None:
    """Return the index of the brace that closes the box opened before `start`, if there is one."""
    depth = 1
    for brace in _BRACES.finditer(text, start):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return brace.start()
    return None


def first_box_end(text: str) -> int | None:
    r"""Return the index of the brace that closes the first box of a text, if it has one.

    Example:
        >>> first_box_end(r"\boxed{\frac{1}{2}} or")
        18
        >>> first_box_end(r"\boxed{\frac{1}{2}") is None
        True
    """
    start = text.find(BOX)
    return None if start < 0 else box_end(text, start + len(BOX))
