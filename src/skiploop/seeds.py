"""Seeds derived by hashing names, so that no two streams of random numbers share one."""

from __future__ import annotations

import hashlib


def derive_seed(*parts: str | int) -> int:
    """Return a 63-bit seed that depends on every part and on their order.

    Args:
        parts: Names and numbers that identify the stream, such as `(42, "search", example_id)`.

    Example:
        >>> derive_seed(42, "search", "a") == derive_seed(42, "search", "a")
        True
        >>> derive_seed(42, "search", "a") == derive_seed(43, "search", "a")
        False
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
