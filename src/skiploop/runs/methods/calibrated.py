"""Methods with a setting that is found on validation questions."""

from __future__ import annotations

from dataclasses import asdict

from skiploop.policies.base import Method
from skiploop.policies.early_exit.calibration import Watched, exits_of, thresholds_within, watch
from skiploop.policies.early_exit.executor import check_supported
from skiploop.policies.early_exit.method import EarlyExit
from skiploop.policies.sampled import Sampled, best_temperature, right_at
from skiploop.runs.methods.kept import kept
from skiploop.runs.methods.make import Asked
from skiploop.runs.questions import checking_examples

N_WATCHED = 100
"""Validation questions at most on which exits are watched."""


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
        DataError: There are no validation questions.
        UnsupportedModelError: The layers of the model cannot wait for tokens.
    """
    run = asked.run
    check_supported(run.stack)
    examples = checking_examples(run)[:N_WATCHED]
    exits = exits_of(run.stack.n_layers)

    found = kept(
        run,
        "early-exit",
        {"n_watched": len(examples), "exits": exits},
        lambda known: (
            known or {"watched": [asdict(one) for one in watch(run.stack, run.task, examples)]}
        ),
    )
    watched = [Watched(**one) for one in found["watched"]]
    limit = float(asked.argument)
    thresholds = thresholds_within(asked.name, watched, run.stack.n_layers, limit)
    return EarlyExit(run.stack, exits, thresholds, name=asked.name)
