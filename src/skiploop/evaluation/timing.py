"""How long policies take next to the plain model, at equal numbers of new tokens."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from skiploop.evaluation.report import Timing
from skiploop.program import Program

if TYPE_CHECKING:
    from skiploop.stack import LayerStack

N_NEW_TOKENS = 8
"""Tokens that every timed answer has, whatever it says."""

N_REPETITIONS = 3


def time_policies(
    stack: LayerStack,
    prompts: Sequence[str],
    chosen: Mapping[str, Sequence[Program]],
    choosing_s: Mapping[str, float],
) -> Timing:
    """Measure the wall time of some policies, prompt by prompt, in turns.

    Each prompt is answered alone with exactly `N_NEW_TOKENS` new tokens, so neither the length
    of an answer nor batching plays a part. Policies that choose the same program for a prompt
    share its measurement. The time of choosing a program is not in it.

    Args:
        stack: The model.
        prompts: At least one.
        chosen: By policy, one program a prompt.
        choosing_s: By policy, the seconds that choosing took, for each prompt.

    Cost:
        `N_REPETITIONS` generations for each prompt and different program.
    """
    _seconds(stack, prompts[0], Program.identity(stack.n_layers))  # the first call is not typical
    wall_s: dict[str, list[float]] = {policy: [0.0] * N_REPETITIONS for policy in chosen}
    for repetition in range(N_REPETITIONS):
        for i, prompt in enumerate(prompts):
            programs = dict.fromkeys(ranked[i] for ranked in chosen.values())
            seconds = {program: _seconds(stack, prompt, program) for program in programs}
            for policy, ranked in chosen.items():
                wall_s[policy][repetition] += seconds[ranked[i]]
    return Timing(n_tokens=N_NEW_TOKENS * len(prompts), wall_s=wall_s, choosing_s=choosing_s)


def _seconds(stack: LayerStack, prompt: str, program: Program) -> float:
    model = stack.view(program)
    inputs = stack.tokenizer(prompt, return_tensors="pt").to(stack.device)
    started = time.perf_counter()
    model.generate(
        **inputs, do_sample=False, min_new_tokens=N_NEW_TOKENS, max_new_tokens=N_NEW_TOKENS
    )
    return time.perf_counter() - started
