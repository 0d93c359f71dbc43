"""How long methods take next to the plain model, at equal numbers of new tokens."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median

from skiploop.engine.decoding.prefill_choice import PrefillChoice
from skiploop.evaluation.policy_table import REFERENCE
from skiploop.evaluation.wall_time import Timing
from skiploop.policies.base import Method
from skiploop.policies.selector.choice import MenuChoice
from skiploop.programs.program import Program
from skiploop.stack import LayerStack
from skiploop.tasks.asked import AskedTask
from skiploop.tasks.base import Example, Task
from skiploop.trials.evaluator import Evaluator

N_NEW_TOKENS = 8
"""Tokens that every timed answer has, whatever it says."""

N_REPETITIONS = 3

MIN_PROMPTS = 4
WIDTH = 0.02
"""How far the ends of an interval may be from the ratio; then more prompts are not timed."""

LIMIT_S = 20.0
"""Seconds after which no further prompt is timed, however wide the intervals are."""


def time_answers(
    stack: LayerStack, task: Task, examples: Sequence[Example], methods: Sequence[Method]
) -> Timing:
    """Measure the wall time of methods, question by question, in turns.

    As many questions are timed as `WIDTH` needs and `LIMIT_S` allows; the plain model is among the
    methods. Each question is answered alone, with exactly `N_NEW_TOKENS` new tokens or by its
    choices, so neither the length of an answer nor batching plays a part. Methods that choose the
    same programs for a question share its measurement. Choosing is measured apart; where it happens
    while the prompt runs, it is what the answer takes beyond one with known programs.

    Cost:
        `N_REPETITIONS` choices for each question and method, and as many answers for each question
        and method or different choice.
    """
    with _without_end_tokens(stack):
        _Question(stack, task, examples[0]).time(methods)  # the first is not typical
        started = time.perf_counter()
        wall_s: dict[str, list[list[float]]] = {method.name: [] for method in methods}
        choosing_s: dict[str, list[float]] = {method.name: [] for method in methods}
        for n_prompts, example in enumerate(examples, start=1):
            question = _Question(stack, task, example)
            for found in wall_s.values():
                found.append([])
            for _ in range(N_REPETITIONS):
                for name, (answering, choosing) in question.time(methods).items():
                    wall_s[name][-1].append(answering)
                    choosing_s[name].append(choosing)
            timing = Timing(
                n_tokens=question.n_new_tokens * n_prompts,
                wall_s={
                    name: [sum(s) for s in zip(*found, strict=True)]
                    for name, found in wall_s.items()
                },
                choosing_s={name: median(found) for name, found in choosing_s.items()},
                n_prompts=n_prompts,
                prompt_s={name: [median(s) for s in found] for name, found in wall_s.items()},
            )
            is_late = time.perf_counter() - started > LIMIT_S
            if n_prompts >= MIN_PROMPTS and (is_late or timing.is_sure_to(WIDTH)):
                break
    return timing


class _Question:
    """One question as it is timed.

    Attributes:
        n_new_tokens: That every answer has; 0 where it has choices.
    """

    def __init__(self, stack: LayerStack, task: Task, example: Example) -> None:
        self.n_new_tokens = N_NEW_TOKENS if task.max_new_tokens else 0
        self._example = example
        if self.n_new_tokens:
            task = AskedTask(task.prompt(example), max_new_tokens=N_NEW_TOKENS)
            self._example = task.asked
        self._evaluator = Evaluator(stack, task)

    def time(self, methods: Sequence[Method]) -> dict[str, tuple[float, float]]:
        """Return for each method the seconds of answering, and those of choosing beside it."""
        prompt = self._evaluator.prompt(self._example)
        answering: dict[Hashable, float] = {}
        found = {}
        for method in methods:
            started = time.perf_counter()
            programs = method.choose([prompt])[0][: method.n_needed]
            choosing_s = time.perf_counter() - started
            what = tuple(programs) or method.name
            if what not in answering:
                started = time.perf_counter()
                method.answer_with([self._example], [programs], self._evaluator)
                answering[what] = time.perf_counter() - started
            if method.chooses_late and self.n_new_tokens:
                started = time.perf_counter()
                method.answer_alone(self._example, self._evaluator)
                choosing_s = time.perf_counter() - started - answering[what]
            found[method.name] = answering[what], choosing_s
        return found


@contextmanager
def _without_end_tokens(stack: LayerStack) -> Iterator[None]:
    """Let no token end an answer of the model."""
    config = stack.model.generation_config
    kept, config.eos_token_id = config.eos_token_id, None
    try:
        yield
    finally:
        config.eos_token_id = kept


def time_during_prefill(stack: LayerStack, prompts: Sequence[str], policy: MenuChoice) -> Timing:
    """Measure answers whose program is chosen while the prompt runs, next to the plain model's.

    Each prompt is answered alone, by both in turns, with at most `N_NEW_TOKENS` new tokens. What
    choosing takes is in the time of the policy's answers.

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
