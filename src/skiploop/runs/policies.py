"""Policies by name, made from what a run folder holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress

import torch

from skiploop.errors import ConfigError, RunError, unknown_name
from skiploop.menus.menu import Menu, MenuConfig
from skiploop.policies.base import FixedPolicy, IdentityPolicy, Policy
from skiploop.policies.damped import damped_loop
from skiploop.policies.learned_weights import LearnedWeights
from skiploop.policies.polar.joint import LabelScores, MenuDecoding, PriorDecoding, rank_jointly
from skiploop.policies.random_edits import RandomEditsPolicy
from skiploop.policies.self_consistency import SelfConsistency
from skiploop.policies.static import StaticPolicy, promising, race
from skiploop.policies.vote import VotePolicy, Weigh, alike, by_probability
from skiploop.programs.program import Program
from skiploop.runs.from_table import TablePolicies
from skiploop.runs.questions import menu_examples, searched_examples
from skiploop.runs.ready import load_policy, origin_of
from skiploop.runs.session import Run
from skiploop.search.campaign import SearchConfig
from skiploop.shipped import shipped_policies
from skiploop.trials.runner import Progress

N_PRIOR = 500
"""Questions over which a predictor's prior is a mean, the first of those it learned from."""

_FIXED = "fixed:"
"""Before the text of a program: the policy that gives it to every prompt."""

_SELECTOR = "selector:"
"""Before a number: the selector with at most so many layer passes on average."""

_VOTES = ("vote", "majority", "learned")
"""Before a number: so many programs vote, with answers weighed in these ways."""

CONTROLS = ("surface", "shuffled:open")
"""What a selector is compared with: the same menu, chosen from by what should be worth less."""

N_WEIGHED = 500
"""Questions from which `learned` learns, the last ones of the menu: the first ones chose it."""

_SAMPLE = "sample"
"""Before a number: so many random answers of the plain model vote."""


def checked_name(name: str) -> str:
    """Return the name of a policy in its one spelling, before a model is loaded for it.

    Raises:
        UnknownNameError: There is no such policy.
        ProgramError: The program of a `fixed` policy is none.
        ConfigError: The number after `selector:` or of a vote is none.
    """
    if name.startswith(_FIXED):
        text = " ".join(name.removeprefix(_FIXED).split())
        Program.read_edits(text)
        return f"{_FIXED}{text}"
    if name.startswith(_SELECTOR):
        return f"{_SELECTOR}{_max_slots(name):g}"
    kind, _, number = name.partition(":")
    if kind in (*_VOTES, _SAMPLE) and number:
        return f"{kind}:{_n_votes(name)}"
    if name in shipped_policies():
        return name
    if name not in POLICIES:
        patterns = [
            f"{_FIXED}PROGRAM",
            f"{_SELECTOR}LAYERS",
            *(f"{vote}:K" for vote in (*_VOTES, _SAMPLE)),
        ]
        raise unknown_name("policy", name, [*POLICIES, *patterns, *shipped_policies()])
    return name


def controls_of(names: Sequence[str]) -> tuple[str, ...]:
    """Return the policies beside which those of some checked names have to be seen."""
    return CONTROLS if any(name.startswith("selector") for name in names) else ()


def is_control(name: str) -> bool:
    """Whether the policy of a checked name is there for others to be compared with."""
    return name in (*CONTROLS, "shuffled", "random-menu")


def is_sample(name: str) -> bool:
    """Whether the policy of a checked name draws answers of the plain model at random."""
    return name.partition(":")[0] == _SAMPLE


def make_policies(names: Sequence[str], run: Run, progress: Progress | None) -> list[Policy]:
    """Return the policies of some checked names.

    Args:
        names: From `checked_name`.
        run: Holds what they need.
        progress: Told about trials that they need.

    Raises:
        RunError: The run does not hold what one of them needs.
        ConfigError: One of them makes no sense for its questions.
    """
    table = TablePolicies(run, progress)
    return [
        _FROM_TABLE[name](table) if name in _FROM_TABLE else _made(name, run, progress)
        for name in names
    ]


def _made(name: str, run: Run, progress: Progress | None) -> Policy:
    if name.startswith(_FIXED):
        program = Program.parse(name.removeprefix(_FIXED), run.stack.n_layers)
        return FixedPolicy([program], name)
    if name.startswith(_SELECTOR):
        return run.selector.within(_max_slots(name), name)
    if name in shipped_policies():
        return _shipped(name, run)
    kind = name.partition(":")[0]
    if kind in _VOTES:
        weigh = _weigh(kind, run, progress)
        return VotePolicy(run.selector, _n_votes(name), weigh=weigh, name=name)
    if is_sample(name):
        seed = run.config.seed
        return SelfConsistency(run.stack.n_layers, _n_votes(name), seed=seed, name=name)
    return _POLICIES[name](run, progress)


def available(run: Run) -> list[str]:
    """Return the policies that the stages of a run lead to, trained or not."""
    names = {"search": ["polar", "static", "random"], "menu": ["selector", "static", "random"]}
    found = [name for stage, policies in names.items() if run.has(stage) for name in policies]
    return ["identity", *dict.fromkeys(found)]


def _max_slots(name: str) -> float:
    text = name.removeprefix(_SELECTOR)
    with suppress(ValueError):
        if math.isfinite(n_slots := float(text)):
            return n_slots
    raise ConfigError(
        f"{name!r}: after 'selector:' comes how many layer passes are allowed on average, "
        "such as selector:29"
    )


def _n_votes(name: str) -> int:
    kind, _, text = name.partition(":")
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(
            f"{name!r}: after '{kind}:' comes how many answers vote, such as {kind}:5"
        )
    return int(text)


def _weigh(kind: str, run: Run, progress: Progress | None) -> Weigh:
    """Return how a vote weighs answers, learned where it has to be."""
    if kind == "learned":
        return _learned_weights(run, progress)
    return by_probability if kind == "vote" else alike


def _learned_weights(run: Run, progress: Progress | None) -> LearnedWeights:
    """Learn what answers are worth from whole ones: wrong ones of the table are mostly cut off."""
    programs = run.selector.menu.programs
    examples = menu_examples(run)[-N_WEIGHED:]
    pairs = [(example, program) for example in examples for program in programs]
    trials = run.runner(progress).answer_pairs(pairs)
    logprobs = [math.nan if trial.logprob is None else trial.logprob for trial in trials]
    lessons = run.selector.lessons
    return LearnedWeights(
        run.selector,
        lessons.predicted_QP[-N_WEIGHED:],
        torch.tensor(logprobs, dtype=torch.float64).reshape(len(examples), len(programs)),
        lessons.right_QP[-N_WEIGHED:],
        lessons.weight_Q[-N_WEIGHED:],
    )


def _shipped(name: str, run: Run) -> Policy:
    """Load a shipped policy for the questions that it knows.

    Raises:
        RunError: The run puts other questions, or puts them in another way.
    """
    known, here = origin_of(name).form.questions, f"{run.task.name}, version {run.task.version}"
    if known != here:
        raise RunError(
            f"{name} learned from the questions of {known}, but those of {run.folder} are of "
            f"{here}: judge it in a run with its own questions"
        )
    return load_policy(name, run.stack)


def _identity(run: Run, _progress: Progress | None) -> Policy:
    return IdentityPolicy(run.stack.n_layers)


def _damped(run: Run, _progress: Progress | None) -> Policy:
    return FixedPolicy([damped_loop(run.stack.n_layers)], "damped")


def _polar(run: Run, _progress: Progress | None) -> Policy:
    return run.predictor


def _polar_joint(run: Run, _progress: Progress | None) -> Policy:
    return run.predictor.decoded_by(rank_jointly, "polar:joint")


def _polar_prior(run: Run, _progress: Progress | None) -> Policy:
    return run.predictor.decoded_by(PriorDecoding(_prior(run)), "polar:prior")


def _polar_menu(run: Run, _progress: Progress | None) -> Policy:
    menu = Menu.load(run.folder)
    return run.predictor.decoded_by(MenuDecoding(menu, _prior(run)), "polar:menu")


def _prior(run: Run) -> LabelScores:
    """Return what the network says of the questions it learned from, on average."""
    examples = searched_examples(run) if run.has("search") else menu_examples(run)
    prompts = [run.task.prompt(example) for example in examples[:N_PRIOR]]
    run.predictor.remember(prompts)  # for all decodings that ask for it
    return run.predictor.prior(prompts)


def _selector(run: Run, _progress: Progress | None) -> Policy:
    return run.selector


def _static(run: Run, progress: Progress | None) -> Policy:
    """Race the most promising programs of the run on the questions that chose them."""
    runner = run.runner(progress)
    if run.has("menu"):
        return StaticPolicy(race(runner, menu_examples(run), Menu.load(run.folder).programs))
    trials = [trial for found in run.store.asked("search").values() for trial in found]
    candidates = promising(trials, run.stack.n_layers)
    return StaticPolicy(race(runner, searched_examples(run), candidates))


def _random(run: Run, _progress: Progress | None) -> Policy:
    asked = (
        run.section("menu", MenuConfig) if run.has("menu") else run.section("search", SearchConfig)
    )
    return RandomEditsPolicy(asked.space(run.stack.n_layers), run.config.seed)


_POLICIES: dict[str, Callable[[Run, Progress | None], Policy]] = {
    "identity": _identity,
    "damped": _damped,
    "polar": _polar,
    "polar:joint": _polar_joint,
    "polar:prior": _polar_prior,
    "polar:menu": _polar_menu,
    "selector": _selector,
    "static": _static,
    "random": _random,
}
"""Policies by the name under which a run makes them."""

_FROM_TABLE: dict[str, Callable[[TablePolicies], Policy]] = {
    "by-kind": TablePolicies.by_kind,
    "surface": TablePolicies.surface,
    "shuffled": TablePolicies.shuffled,
    "shuffled:open": TablePolicies.open_shuffled,
    "random-menu": TablePolicies.random_menu,
}
"""The same for those that share the table of the menu."""

POLICIES = (*_POLICIES, *_FROM_TABLE)
"""All names but those with something after a colon."""
