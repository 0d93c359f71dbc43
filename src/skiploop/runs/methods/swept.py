"""One program for all prompts, the best of many on training questions, if validation confirms it.

All candidates race on half of the training questions, `questions.N_CHOOSING` at most. The winner
and the plain model then answer validation questions, `questions.N_CHECKING` at most. Unless the
winner fixes more than it breaks there, with p < 0.05 in McNemar's exact test, the plain model is
kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

from skiploop.policies.base import FixedPolicy, Policy
from skiploop.policies.blr import BEAM, two_blocks
from skiploop.policies.damped import damped_windows
from skiploop.policies.held_out import judge
from skiploop.policies.mean_iterates import mean_loops
from skiploop.policies.rys import one_block_repeats
from skiploop.policies.static import race
from skiploop.programs.program import Program
from skiploop.runs.methods.kept import Found, kept
from skiploop.runs.methods.make import Asked, ranked
from skiploop.runs.questions import checking_examples, choosing_examples
from skiploop.tasks.base import Example
from skiploop.trials.runner import TrialRunner

Choose = Callable[[TrialRunner, Sequence[Example]], Program]
"""From what evaluates, and training questions, to the best program on them."""


def confirmed(asked: Asked, choose: Choose) -> Policy:
    """Return the policy of the program that is chosen on training questions, or of the plain model.

    Raises:
        DataError: There are no training or no validation questions.
    """
    run = asked.run
    n_layers = run.stack.n_layers
    choosing, checking = choosing_examples(run), checking_examples(run)

    def find(known: Found | None) -> Found:
        if known:
            return known
        runner = run.runner(asked.progress)
        best = choose(runner, choosing)
        seen = judge(runner, checking, best)
        program = best if seen.shows_gain else Program.identity(n_layers)
        return {"program": str(program), "best": str(best), "held_out": asdict(seen)}

    settings = {"n_choosing": len(choosing), "n_checking": len(checking)}
    found = kept(run, asked.name, settings, find)
    return FixedPolicy([Program.parse(found["program"], n_layers)], asked.name)


@ranked
def rys(asked: Asked) -> Policy:
    """Try every block of layers as one that runs twice."""
    return _raced(asked, one_block_repeats(asked.run.stack.n_layers))


@ranked
def blr(asked: Asked) -> Policy:
    """Try the same, and pairs of the best ones."""

    def choose(runner: TrialRunner, examples: Sequence[Example]) -> Program:
        singles = race(runner, examples, one_block_repeats(runner.stack.n_layers))
        return race(runner, examples, [*singles[: BEAM + 1], *two_blocks(singles)])[0]

    return confirmed(asked, choose)


@ranked
def tflt(asked: Asked) -> Policy:
    """Try damped loops over every window in the middle."""
    return _raced(asked, damped_windows(asked.run.stack.n_layers))


@ranked
def mean_iterates(asked: Asked) -> Policy:
    """Try loops after which the mean of all passes goes on."""
    return _raced(asked, mean_loops(asked.run.stack.n_layers))


def _raced(asked: Asked, candidates: Sequence[Program]) -> Policy:
    return confirmed(asked, lambda runner, examples: race(runner, examples, candidates)[0])
