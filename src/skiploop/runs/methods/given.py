"""Methods that nothing was learned for, or one program for all prompts."""

from __future__ import annotations

from skiploop.errors import RunError
from skiploop.menus.menu import MenuConfig
from skiploop.policies.base import FixedPolicy, IdentityPolicy, Method, Policy
from skiploop.policies.damped import damped_loop
from skiploop.policies.random_edits import RandomEditsPolicy
from skiploop.policies.self_consistency import SelfConsistency
from skiploop.policies.static import best_first, promising, race
from skiploop.programs.program import Program
from skiploop.runs.methods.make import Asked, ranked
from skiploop.runs.questions import searched_examples
from skiploop.runs.ready import load_policy, origin_of
from skiploop.search.campaign import SearchConfig
from skiploop.tasks.base import questions_id


@ranked
def identity(asked: Asked) -> Policy:
    """Make the plain model."""
    return IdentityPolicy(asked.run.stack.n_layers)


@ranked
def fixed(asked: Asked) -> Policy:
    """Make the policy of one program.

    Raises:
        ProgramError: It is a program of another model.
    """
    return FixedPolicy([Program.parse(asked.argument, asked.run.stack.n_layers)], asked.name)


@ranked
def damped(asked: Asked) -> Policy:
    """Make the policy of one damped loop."""
    return FixedPolicy([damped_loop(asked.run.stack.n_layers)], asked.name)


@ranked
def random_edits(asked: Asked) -> Policy:
    """Make random edits out of the space of the menu, or else of the search."""
    run = asked.run
    made = (
        run.section("menu", MenuConfig) if run.has("menu") else run.section("search", SearchConfig)
    )
    return RandomEditsPolicy(made.space(run.stack.n_layers), run.config.seed)


@ranked
def static(asked: Asked) -> Policy:
    """Compare the programs of the menu, or race the most promising ones of the search."""
    run = asked.run
    if run.has("menu"):
        table = asked.table.whole
        return FixedPolicy(best_first(table.programs, (table.right_QP == 1).sum(0)), asked.name)
    searched = run.store.asked("search", run.stack.n_layers)
    candidates = promising(trial for found in searched.values() for trial in found)
    best = race(run.runner(asked.progress), searched_examples(run), candidates)
    return FixedPolicy(best, asked.name)


def sample(asked: Asked) -> Method:
    """Make self-consistency of the plain model."""
    run = asked.run
    n_samples = int(asked.argument)
    return SelfConsistency(run.stack.n_layers, n_samples, seed=run.config.seed, name=asked.name)


@ranked
def shipped(asked: Asked) -> Policy:
    """Load a shipped policy for the questions that it knows.

    Raises:
        RunError: The run puts other questions, or puts them in another way.
    """
    run = asked.run
    known, here = origin_of(asked.name).form.questions, questions_id(run.task)
    if known != here:
        raise RunError(
            f"{asked.name} learned from the questions of {known}, but those of {run.folder} are of "
            f"{here}: judge it in a run with its own questions"
        )
    return load_policy(asked.name, run.stack)
