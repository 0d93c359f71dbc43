"""Bearer keys: who may ask."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from pathlib import Path

from skiploop.errors import ConfigError
from skiploop.server.errors import ApiError

MIN_LENGTH = 16
"""Characters of a key: shorter ones can be guessed."""


class Keys:
    """The keys that open a server; without any, everybody may ask."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]

    def check(self, authorization: str | None) -> None:
        """Refuse whoever has no key; how long that takes tells nothing about the keys.

        Args:
            authorization: The header of that name, such as `Bearer KEY`.

        Raises:
            ApiError: The header is missing or holds no key of the server.
        """
        if not self._digests:
            return
        scheme, _, key = (authorization or "").partition(" ")
        given = hashlib.sha256(key.strip().encode(errors="replace")).digest()
        matches = [hmac.compare_digest(given, known) for known in self._digests]
        if scheme.lower() != "bearer" or True not in matches:
            raise ApiError(
                401,
                "a key of this server is needed: send the header 'Authorization: Bearer KEY'",
                code="invalid_api_key",
                headers={"www-authenticate": "Bearer"},
            )


def read_keys(path: Path) -> Keys:
    """Return the keys in a file: one a line; lines that start with # are remarks.

    Raises:
        ConfigError: The file cannot be read, holds no key, or one that is too short.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the keys in {path} cannot be read: give a text file") from error
    keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not keys:
        raise ConfigError(f"{path} holds no key: write one a line")
    if short := [number for number, key in enumerate(keys, 1) if len(key) < MIN_LENGTH]:
        raise ConfigError(
            f"key {short[0]} in {path} is shorter than {MIN_LENGTH} characters: give a longer one, "
            "such as of 'openssl rand -hex 24'"
        )
    return Keys(keys)
