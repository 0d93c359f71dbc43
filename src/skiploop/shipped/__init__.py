"""Policies that come with skiploop: one folder a model, in it one a task, each with its card."""

from __future__ import annotations

from pathlib import Path

GAIN = "## What the gain is, and is not"
"""Heading in a card, followed by one sentence."""

_HOME = Path(__file__).parent


def shipped_policies() -> dict[str, Path]:
    """Return the folders of the policies by name, such as `smollm2-135m/arithmetic`."""
    folders = sorted(card.parent for card in _HOME.glob("*/*/card.md"))
    return {folder.relative_to(_HOME).as_posix(): folder for folder in folders}


def gain_in_words(name: str) -> str:
    """Return what the card of a policy says that its gain is, and what it is not."""
    card = (shipped_policies()[name] / "card.md").read_text(encoding="utf-8")
    return " ".join(card.partition(GAIN)[2].partition("\n## ")[0].split())
