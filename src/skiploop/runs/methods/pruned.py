"""Methods that leave out whole layers, the same for all prompts."""

from __future__ import annotations

from functools import cache, partial

from skiploop.policies import sleb as sleb_order
from skiploop.policies import tale as tale_order
from skiploop.policies.base import FixedPolicy, Policy
from skiploop.policies.block_influence import (
    angular_distance,
    block_influence,
    least_influential,
    least_turning,
)
from skiploop.policies.dropping import n_to_drop, without
from skiploop.policies.text_windows import N_TOKENS, N_WINDOWS, solved, windows
from skiploop.runs.methods.kept import Found, kept
from skiploop.runs.methods.make import Asked, ranked
from skiploop.runs.methods.swept import confirmed
from skiploop.runs.questions import choosing_examples
from skiploop.runs.session import Run


@ranked
def shortgpt(asked: Asked) -> Policy:
    """Leave out the layers with the least influence on the training text.

    Raises:
        ConfigError: No layer would be left.
        DataError: The training text is too short.
    """
    run = asked.run
    n = _n_to_drop(asked)
    found = kept(
        run,
        "shortgpt",
        _text_settings(N_WINDOWS),
        lambda known: known or {"influence": block_influence(run.stack, _text(run, N_WINDOWS))},
    )
    return _without(asked, least_influential(found["influence"], n))


@ranked
def angular(asked: Asked) -> Policy:
    """Leave out the block of layers that turns the states of the training text least.

    Raises:
        ConfigError: No layer would be left.
        DataError: The training text is too short.
    """
    run = asked.run
    n = _n_to_drop(asked)
    if not n:
        return _without(asked, [])
    found = kept(
        run,
        f"angular-{n}",
        _text_settings(N_WINDOWS),
        lambda known: known or {"distance": angular_distance(run.stack, _text(run, N_WINDOWS), n)},
    )
    block = least_turning(found["distance"], n)
    return _without(asked, range(block.start, block.stop))


@ranked
def sleb(asked: Asked) -> Policy:
    """Leave out layers one after the other by the loss on the training text.

    Raises:
        ConfigError: No layer would be left.
        DataError: The training text is too short.
    """
    run = asked.run
    n = _n_to_drop(asked)
    settings = _text_settings(sleb_order.N_WINDOWS)
    text = cache(partial(_text, run, sleb_order.N_WINDOWS))  # read once, if at all

    def find(n_gone: int, known: Found | None) -> Found:
        order = known["order"] if known else []
        if known and len(order) >= n_gone:
            return known
        return {"order": sleb_order.removal_order(run.stack, text(), n_gone, order)}

    order: list[int] = []
    for n_gone in range(1, n + 1):  # an interrupted making goes on with the layers it found
        order = kept(run, "sleb", settings, partial(find, n_gone))["order"]
    return _without(asked, order[:n])


@ranked
def tale(asked: Asked) -> Policy:
    """Leave out layers one after the other by right answers to training questions.

    The program with most right answers on the way is kept if validation shows a gain.

    Raises:
        DataError: There are no such questions.
    """
    return confirmed(
        asked,
        lambda runner, asked_of: tale_order.most_right(tale_order.shortenings(runner, asked_of)),
    )


@ranked
def limited_tale(asked: Asked) -> Policy:
    """Leave out so many layers in the same way that the limit is met.

    Raises:
        ConfigError: No layer would be left.
        DataError: There are no training questions.
    """
    run = asked.run
    n = _n_to_drop(asked)
    runner = run.runner(asked.progress)
    found = tale_order.shortenings(runner, choosing_examples(run), n)
    return FixedPolicy([found[-1][0]], asked.name)


def _n_to_drop(asked: Asked) -> int:
    return n_to_drop(asked.name, asked.run.stack.n_layers, float(asked.argument))


def _without(asked: Asked, layers: range | list[int]) -> Policy:
    return FixedPolicy([without(asked.run.stack.n_layers, layers)], asked.name)


def _text(run: Run, n_windows: int) -> list[tuple[int, ...]]:
    """Return windows of the training prompts with their right answers."""
    texts = solved(run.task, run.task.examples("train"))
    return windows(run.stack, texts, n_windows=n_windows)


def _text_settings(n_windows: int) -> Found:
    return {"n_tokens": N_TOKENS, "n_windows": n_windows}
