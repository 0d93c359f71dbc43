"""Methods with a setting that is found on validation questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

from skiploop.policies.base import Method
from skiploop.policies.early_exit.calibration import Watched, exits_of, thresholds_within, watch
from skiploop.policies.early_exit.executor import check_supported
from skiploop.policies.early_exit.method import EarlyExit
from skiploop.policies.sampled import Sampled, best_temperature, right_at
from skiploop.runs.methods.kept import Found, kept
from skiploop.runs.methods.make import Asked
from skiploop.runs.questions import checking_examples
from skiploop.runs.session import Run
from skiploop.tasks.base import Example

N_WATCHED = 100
"""Validation questions at most on which exits are watched."""

N_TOGETHER = 20
"""So many of them are answered together, and the most that an interruption loses."""


def sampled(asked: Asked) -> Method:
    """Make single samples at the temperature with most right answers on validation.

    Raises:
        ConfigError: The questions have choices.
        DataError: There are no validation questions.
    """
    run = asked.run
    examples, seed, n_layers = checking_examples(run), run.config.seed, run.stack.n_layers
    found = kept(
        run,
        "sampled",
        {"n_checking": len(examples), "seed": seed},
        lambda known: known or {"right": right_at(run.runner(), examples, n_layers, seed)},
    )
    return Sampled(n_layers, best_temperature(found["right"]), seed=seed, name=asked.name)


def early_exit(asked: Asked) -> Method:
    """Make exits whose thresholds keep the limit on validation.

    Raises:
        ConfigError: The limit is below the first exit.
        DataError: There are no validation questions, or the model writes nothing to them.
        UnsupportedModelError: The layers of the model cannot wait for tokens.
    """
    run = asked.run
    check_supported(run.stack)
    exits = exits_of(run.stack.n_layers)
    watched = _watched(run, checking_examples(run)[:N_WATCHED], exits)
    limit = float(asked.argument)
    thresholds = thresholds_within(asked.name, watched, run.stack.n_layers, limit)
    return EarlyExit(run.stack, exits, thresholds, name=asked.name)


def _watched(run: Run, examples: Sequence[Example], exits: Sequence[int]) -> list[Watched]:
    """Return what the exits say to some questions; what is found of it is kept on the way."""
    settings = {"n_watched": len(examples), "exits": exits, "n_together": N_TOGETHER}

    def find(stop: int, known: Found | None) -> Found:
        known = known or {"n_asked": 0, "watched": []}
        some = examples[known["n_asked"] : stop]
        if not some:
            return known
        new = [asdict(one) for one in watch(run.stack, run.task, some)]
        return {"n_asked": stop, "watched": [*known["watched"], *new]}

    found: Found = {}
    for start in range(0, len(examples), N_TOGETHER):
        stop = min(start + N_TOGETHER, len(examples))
        found = kept(run, "early-exit", settings, partial(find, stop))
    return [Watched(**one) for one in found["watched"]]
