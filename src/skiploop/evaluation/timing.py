"""How long choices take next to the plain model, at equal numbers of new tokens."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING

from skiploop.evaluation.policy_table import REFERENCE
from skiploop.evaluation.wall_time import Timing
from skiploop.policies.base import Method
from skiploop.programs.program import Program

if TYPE_CHECKING:
    from skiploop.engine.decoding.prefill_choice import PrefillChoice
    from skiploop.policies.selector.choice import MenuChoice
    from skiploop.stack import LayerStack

N_NEW_TOKENS = 8
"""Tokens that every timed answer has, whatever it says."""

N_REPETITIONS = 3

MIN_PROMPTS = 4
WIDTH = 0.02
"""How far the ends of an interval may be from the ratio; then more prompts are not timed."""

LIMIT_S = 20.0
"""Seconds after which no further prompt is timed, however wide the intervals are."""


def time_choices(stack: LayerStack, prompts: Sequence[str], methods: Sequence[Method]) -> Timing:
    """Measure the wall time of methods that answer with one program, prompt by prompt, in turns.

    Each prompt is answered alone with exactly `N_NEW_TOKENS` new tokens, so neither the length
    of an answer nor batching plays a part. Methods that choose the same program for a prompt
    share its measurement. Choosing a program is measured apart, also for each prompt alone.

    Args:
        stack: The model.
        prompts: At least one; as many are timed as `WIDTH` needs and `LIMIT_S` allows.
        methods: Choose the programs, the first of which is run; the identity is among them.

    Cost:
        `N_REPETITIONS` choices for each prompt and method, and as many generations for each
        prompt and different program.
    """
    _generation_s(stack, prompts[0], Program.identity(stack.n_layers))  # the first is not typical
    started = time.perf_counter()
    wall_s: dict[str, list[list[float]]] = {method.name: [] for method in methods}
    choosing_s: dict[str, list[float]] = {method.name: [] for method in methods}
    for n_prompts, prompt in enumerate(prompts, start=1):
        for found in wall_s.values():
            found.append([])
        for _ in range(N_REPETITIONS):
            _time_once(stack, prompt, methods, wall_s, choosing_s)
        timing = Timing(
            n_tokens=N_NEW_TOKENS * n_prompts,
            wall_s={
                name: [sum(s) for s in zip(*found, strict=True)] for name, found in wall_s.items()
            },
            choosing_s={name: median(found) for name, found in choosing_s.items()},
            n_prompts=n_prompts,
            prompt_s={name: [median(s) for s in found] for name, found in wall_s.items()},
        )
        is_late = time.perf_counter() - started > LIMIT_S
        if n_prompts >= MIN_PROMPTS and (is_late or timing.is_sure_to(WIDTH)):
            break
    return timing


def time_during_prefill(stack: LayerStack, prompts: Sequence[str], policy: MenuChoice) -> Timing:
    """Measure answers whose program is chosen while the prompt runs, next to the plain model's.

    Each prompt is answered alone, by both in turns, with at most `N_NEW_TOKENS` new tokens.

    Args:
        stack: The model.
        prompts: At least one.
        policy: Chooses; what choosing takes is in the time of its answers.

    Cost:
        Two answers for each prompt, and two more.
    """
    ways: dict[str, Program | PrefillChoice] = {
        REFERENCE: Program.identity(stack.n_layers),
        policy.name: policy.during_prefill(),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for prompt in [prompts[0], *prompts]:  # the first is not typical
        for name, way in ways.items():
            started = time.perf_counter()
            stack.generate([prompt], way, max_new_tokens=N_NEW_TOKENS)
            seconds[name].append(time.perf_counter() - started)
    timed = {name: found[1:] for name, found in seconds.items()}
    return Timing(
        n_tokens=N_NEW_TOKENS * len(prompts),
        wall_s={name: [sum(found)] for name, found in timed.items()},
        n_prompts=len(prompts),
        prompt_s=timed,
    )


def _time_once(
    stack: LayerStack,
    prompt: str,
    methods: Sequence[Method],
    wall_s: Mapping[str, list[list[float]]],
    choosing_s: Mapping[str, list[float]],
) -> None:
    """Add one choice and one generation of each method to the last prompt's times."""
    chosen = {}
    for method in methods:
        started = time.perf_counter()
        chosen[method.name] = method.choose([prompt])[0][0]
        choosing_s[method.name].append(time.perf_counter() - started)
    seconds = {p: _generation_s(stack, prompt, p) for p in dict.fromkeys(chosen.values())}
    for name, program in chosen.items():
        wall_s[name][-1].append(seconds[program])


def _generation_s(stack: LayerStack, prompt: str, program: Program) -> float:
    import torch

    from skiploop.engine.batching.encoding import encode

    model = stack.view(program)
    tokens = torch.tensor(encode(stack, [prompt]), device=stack.device)
    started = time.perf_counter()
    model.generate(
        tokens, do_sample=False, min_new_tokens=N_NEW_TOKENS, max_new_tokens=N_NEW_TOKENS
    )
    return time.perf_counter() - started
