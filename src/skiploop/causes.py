"""Why something could not be fetched, in words for whoever has to mend it."""

from __future__ import annotations

import re

from skiploop.errors import one_line

_CAUSES = (
    (r"No space left on device|Errno 28\b", "the disk is full"),
    (r"Disk quota exceeded", "your share of the disk is full"),
    (r"outgoing traffic has been disabled|HF_HUB_OFFLINE", "HF_HUB_OFFLINE forbids the network"),
    (r"CERTIFICATE_VERIFY_FAILED", "the certificate of the other side is not trusted"),
    (r"Cannot connect to proxy|ProxyError", "the proxy cannot be reached"),
    (
        r"name resolution|Name or service not known|getaddrinfo failed|nodename nor servname|"
        r"Network is unreachable|No route to host",
        "there is no network",
    ),
    (r"Connection refused|connection broken by", "the other side does not answer"),
    (r"timed out", "the other side does not answer in time"),
)


def reason(error: BaseException) -> str:
    """Return the cause of an error in words, or else what it says itself, on one line."""
    return cause_of(one_line(error)) or one_line(error)


def cause_of(text: str) -> str | None:
    """Return the cause that a message of another program tells of, None if it is none of these.

    Example:
        >>> cause_of("OSError: [Errno 28] No space left on device")
        'the disk is full'
    """
    return next((words for signs, words in _CAUSES if re.search(signs, text)), None)
