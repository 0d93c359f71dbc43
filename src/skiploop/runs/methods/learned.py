"""Methods that choose by what a run has learned, and their controls."""

from __future__ import annotations

from skiploop.policies.base import Method, Policy
from skiploop.policies.vote import Vote, Weigh, alike, probability
from skiploop.runs.methods.make import Asked, ranked


@ranked
def polar(asked: Asked) -> Policy:
    """Load the predictor."""
    return asked.run.predictor


@ranked
def selector(asked: Asked) -> Policy:
    """Load the selector."""
    return asked.run.selector


@ranked
def limited_selector(asked: Asked) -> Policy:
    """Load the selector with a limit to its layer passes.

    Raises:
        ConfigError: No program of the menu is so short.
    """
    return asked.run.selector.within(float(asked.argument), asked.name)


def vote(asked: Asked) -> Method:
    """Make the vote in which each answer counts with its probability."""
    return _vote(asked, probability)


def majority(asked: Asked) -> Method:
    """Make the vote in which all answers count alike."""
    return _vote(asked, alike)


def _vote(asked: Asked, weigh: Weigh) -> Method:
    return Vote(asked.run.selector, int(asked.argument), weigh=weigh, name=asked.name)


@ranked
def by_category(asked: Asked) -> Policy:
    """Find the best program for each category of question."""
    return asked.table.by_category()


@ranked
def surface(asked: Asked) -> Policy:
    """Train the control that reads spelling."""
    return asked.table.surface()


@ranked
def shuffled(asked: Asked) -> Policy:
    """Train the control that learns from answers to other questions."""
    return asked.table.shuffled


@ranked
def open_shuffled(asked: Asked) -> Policy:
    """Train the same without a gate."""
    return asked.table.shuffled.ungated(asked.name)


@ranked
def random_menu(asked: Asked) -> Policy:
    """Train the control on a menu of random programs."""
    return asked.table.random_menu()
