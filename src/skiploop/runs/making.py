"""Methods of the registry, each made from what a run folder holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pkgutil import resolve_name

import torch

from skiploop.errors import RunError
from skiploop.menus.menu import Menu, MenuConfig
from skiploop.policies.base import FixedPolicy, IdentityPolicy, Method, Policy, Ranked
from skiploop.policies.damped import damped_loop
from skiploop.policies.learned_weights import LearnedWeights
from skiploop.policies.polar.joint import LabelScores, MenuDecoding, PriorDecoding, rank_jointly
from skiploop.policies.random_edits import RandomEditsPolicy
from skiploop.policies.self_consistency import SelfConsistency
from skiploop.policies.static import StaticPolicy, promising, race
from skiploop.policies.vote import Vote, Weigh, alike, by_probability
from skiploop.programs.program import Program
from skiploop.runs.from_table import TablePolicies
from skiploop.runs.policies import find
from skiploop.runs.questions import menu_examples, searched_examples
from skiploop.runs.ready import load_policy, origin_of
from skiploop.runs.session import Run
from skiploop.search.campaign import SearchConfig
from skiploop.tasks.base import questions_id
from skiploop.trials.runner import Progress

N_PRIOR = 500
"""Questions over which a predictor's prior is a mean, the first of those it learned from."""

N_WEIGHED = 500
"""Questions from which `learned` learns, the last ones of the menu: the first ones chose it."""


@dataclass(frozen=True)
class Asked:
    """What a method is made from.

    Attributes:
        name: Its name in tables.
        argument: What the name has after the colon.
        run: Holds what it needs.
        progress: Told about trials that it needs.
        table: Of the run's menu, shared by all methods that are made together.
        k: Programs that a policy ranks.
    """

    name: str
    argument: str
    run: Run
    progress: Progress | None
    table: TablePolicies
    k: int


def make_methods(
    names: Sequence[str], run: Run, progress: Progress | None = None, k: int = 1
) -> list[Method]:
    """Return the methods of some checked names.

    Args:
        names: From `checked_name`.
        run: Holds what they need.
        progress: Told about trials that they need.
        k: Programs that run of each policy; votes and samples have numbers of their own.

    Raises:
        RunError: The run does not hold what one of them needs.
        ConfigError: One of them makes no sense for its questions.
    """
    table = TablePolicies(run, progress)
    made = []
    for name in names:
        entry, argument = find(name)
        make: Callable[[Asked], Method] = resolve_name(entry.maker)
        made.append(make(Asked(name, argument, run, progress, table, k)))
    return made


def ranked(make: Callable[[Asked], Policy]) -> Callable[[Asked], Method]:
    """Turn what makes a policy into what makes the method of its best programs."""

    @wraps(make)
    def method(asked: Asked) -> Method:
        return Ranked(make(asked), asked.k)

    return method


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
    """Race the most promising programs of the run on the questions that chose them."""
    run = asked.run
    runner = run.runner(asked.progress)
    if run.has("menu"):
        return StaticPolicy(race(runner, menu_examples(run), Menu.load(run.folder).programs))
    trials = [trial for found in run.store.asked("search").values() for trial in found]
    candidates = promising(trials, run.stack.n_layers)
    return StaticPolicy(race(runner, searched_examples(run), candidates))


@ranked
def polar(asked: Asked) -> Policy:
    """Load the predictor."""
    return asked.run.predictor


@ranked
def polar_joint(asked: Asked) -> Policy:
    """Load the predictor, decoded as a whole."""
    return asked.run.predictor.decoded_by(rank_jointly, asked.name)


@ranked
def polar_prior(asked: Asked) -> Policy:
    """Load the predictor, decoded against its prior."""
    return asked.run.predictor.decoded_by(PriorDecoding(_prior(asked.run)), asked.name)


@ranked
def polar_menu(asked: Asked) -> Policy:
    """Load the predictor, decoded against its prior into programs of the menu."""
    menu = Menu.load(asked.run.folder)
    return asked.run.predictor.decoded_by(MenuDecoding(menu, _prior(asked.run)), asked.name)


def _prior(run: Run) -> LabelScores:
    """Return what the network says of the questions it learned from, on average."""
    examples = searched_examples(run) if run.has("search") else menu_examples(run)
    prompts = [run.task.prompt(example) for example in examples[:N_PRIOR]]
    run.predictor.remember(prompts)  # for all decodings that ask for it
    return run.predictor.prior(prompts)


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
    return _vote(asked, by_probability)


def majority(asked: Asked) -> Method:
    """Make the vote in which all answers count alike."""
    return _vote(asked, alike)


def learned(asked: Asked) -> Method:
    """Make the vote in which each answer counts with the probability that it is right."""
    return _vote(asked, _learned_weights(asked))


def _vote(asked: Asked, weigh: Weigh) -> Method:
    return Vote(asked.run.selector, int(asked.argument), weigh=weigh, name=asked.name)


def _learned_weights(asked: Asked) -> LearnedWeights:
    """Learn what answers are worth from whole ones: wrong ones of the table are mostly cut off."""
    run = asked.run
    programs = run.selector.menu.programs
    examples = menu_examples(run)[-N_WEIGHED:]
    pairs = [(example, program) for example in examples for program in programs]
    trials = run.runner(asked.progress).answer_pairs(pairs)
    logprobs = [math.nan if trial.logprob is None else trial.logprob for trial in trials]
    lessons = run.selector.lessons
    return LearnedWeights(
        run.selector,
        lessons.predicted_QP[-N_WEIGHED:],
        torch.tensor(logprobs, dtype=torch.float64).reshape(len(examples), len(programs)),
        lessons.right_QP[-N_WEIGHED:],
        lessons.weight_Q[-N_WEIGHED:],
    )


def sample(asked: Asked) -> Method:
    """Make self-consistency of the plain model."""
    run = asked.run
    n_samples = int(asked.argument)
    return SelfConsistency(run.stack.n_layers, n_samples, seed=run.config.seed, name=asked.name)


@ranked
def by_kind(asked: Asked) -> Policy:
    """Find the best program for each kind of question."""
    return asked.table.by_kind()


@ranked
def surface(asked: Asked) -> Policy:
    """Train the control that reads spelling."""
    return asked.table.surface()


@ranked
def shuffled(asked: Asked) -> Policy:
    """Train the control that learns from answers to other questions."""
    return asked.table.shuffled()


@ranked
def open_shuffled(asked: Asked) -> Policy:
    """Train the same without a gate."""
    return asked.table.open_shuffled()


@ranked
def random_menu(asked: Asked) -> Policy:
    """Train the control on a menu of random programs."""
    return asked.table.random_menu()


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
