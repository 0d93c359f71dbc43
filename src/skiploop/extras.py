"""Packages that come with an extra of skiploop: named where they are needed and not there."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib.util import find_spec

from skiploop.errors import MissingExtraError, told_as

PACKAGES = {
    "gguf": ("accelerate", "gguf"),
    "hub": ("datasets", "math_verify"),
    "lm-eval": ("accelerate", "lm_eval"),
    "math": ("math_verify",),
    "ray": ("ray",),
    "reasoning-gym": ("reasoning_gym",),
    "serve": ("fastapi", "prometheus_client", "pydantic", "uvicorn"),
    "studio": ("fastapi", "prometheus_client", "pydantic", "uvicorn"),
}
"""What is imported of each extra."""


def missing(extra: str) -> list[str]:
    """Return the packages of an extra that are not installed."""
    return [package for package in PACKAGES[extra] if find_spec(package) is None]


def brought_by(extra: str, need: str) -> AbstractContextManager[None]:
    """Name the extra to install if an import in the block fails.

    Args:
        extra: Brings the package.
        need: What the package is needed for, such as "m.gguf is read with the package gguf".

    Raises:
        MissingExtraError: The package, or one that it imports, is not installed.
    """
    return told_as(MissingExtraError, need, f'pip install "skiploop[{extra}]"', of=(ImportError,))
