"""Policies that come with skiploop: one folder a model, in it one a task, each with its card."""

from __future__ import annotations

from pathlib import Path

_HOME = Path(__file__).parent


def shipped_policies() -> dict[str, Path]:
    """Return the folders of the policies by name, such as `smollm2-135m/arithmetic`."""
    folders = sorted(card.parent for card in _HOME.glob("*/*/card.md"))
    return {folder.relative_to(_HOME).as_posix(): folder for folder in folders}
