"""What chooses programs for prompts, what answers questions, and the simplest of each."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from skiploop.arguments import instance, listed, texts, whole_number
from skiploop.errors import ConfigError, ProgramError
from skiploop.programs.program import Program
from skiploop.tasks.base import Example
from skiploop.trials.evaluator import Evaluator
from skiploop.trials.store import Trial


class Policy(Protocol):
    """Chooses programs for prompts without looking at answers.

    Attributes:
        name: Unique within one table.
    """

    name: str

    def rank(self, prompts: Sequence[str], k: int) -> list[list[Program]]:
        """Return at most `k` different programs a prompt, the best first, never none."""


class FixedPolicy:
    """Gives every prompt the same programs.

    Args:
        programs: The best first.
        name: Name in tables.

    Raises:
        ProgramError: There is none, or one is no program.
    """

    def __init__(self, programs: Sequence[Program], name: str) -> None:
        self.programs = [
            instance("programs", one, Program, expected="Programs", error=ProgramError)
            for one in listed("programs", programs, of="programs", error=ProgramError)
        ]
        if not self.programs:
            raise ProgramError(f"policy {name} has no programs: give at least one")
        self.name = name

    def rank(self, prompts: Sequence[str], k: int) -> list[list[Program]]:
        """Return the first `k` programs, for every prompt."""
        k = whole_number("k", k, at_least=1, error=ConfigError)
        return [self.programs[:k] for _ in texts("prompts", prompts)]


class IdentityPolicy(FixedPolicy):
    """Gives every prompt the plain model."""

    def __init__(self, n_layers: int) -> None:
        super().__init__([Program.identity(n_layers)], name="identity")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What an answer took.

    Attributes:
        n_passes: Layer passes of a prompt token, those of all programs that had to answer for it;
            what several start with is counted once.
        choosing_s: Seconds in which its programs were chosen; None where nobody measured.
    """

    n_passes: int
    choosing_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a method says to one question.

    Attributes:
        program: What wrote it.
        text: What was written.
        correct: The verdict; None if it could not be graded.
        n_tokens: New tokens; 0 where a choice was picked by likelihood.
        confidence: How sure the answer is, 0..1; None if the logits were not numbers.
        cost: What it took.
    """

    program: Program
    text: str
    correct: bool | None
    n_tokens: int
    confidence: float | None
    cost: Cost

    @classmethod
    def of_trial(cls, program: Program, trial: Trial) -> Answer:
        """Return the answer of one program, as sure as it is likely."""
        return cls(
            program=program,
            text=trial.text,
            correct=trial.correct,
            n_tokens=trial.n_tokens,
            confidence=None if trial.logprob is None else math.exp(trial.logprob),
            cost=Cost(n_passes=program.n_slots),
        )


class Method(ABC):
    """Answers questions, with programs that it chooses or in any other way.

    Attributes:
        name: Unique within one table.
    """

    name: str

    @abstractmethod
    def choose(self, prompts: Sequence[str]) -> list[list[Program]]:
        """Return the programs that are to answer each prompt, the best first.

        There are none if the method runs the model in a way of its own.
        """

    @abstractmethod
    def answer_with(
        self,
        examples: Sequence[Example],
        chosen: Sequence[Sequence[Program]],
        evaluator: Evaluator,
    ) -> list[list[Answer]]:
        """Return the answers to each question once the programs are chosen.

        Args:
            examples: Questions.
            chosen: What `choose` returns for their prompts.
            evaluator: Runs and grades.

        Returns:
            At least one answer a question: that of the method, and then others that it looked at.
        """

    def answer(self, examples: Sequence[Example], evaluator: Evaluator) -> list[list[Answer]]:
        """Return the answers to each question, that of the method first.

        Args:
            examples: Questions.
            evaluator: Runs and grades.
        """
        started = time.perf_counter()
        chosen = self.choose([evaluator.prompt(example) for example in examples])
        choosing_s = (time.perf_counter() - started) / max(len(examples), 1)
        return [
            [replace(one, cost=replace(one.cost, choosing_s=choosing_s)) for one in answers]
            for answers in self.answer_with(examples, chosen, evaluator)
        ]


class Ranked(Method):
    """Answers with the program that a policy ranks first.

    Args:
        policy: Ranks programs.
        k: Programs that run: those after the first one tell what a better choice could reach.
    """

    def __init__(self, policy: Policy, k: int = 1) -> None:
        self.policy = policy
        self.k = k
        self.name = policy.name

    def choose(self, prompts: Sequence[str]) -> list[list[Program]]:
        """Return the best `k` programs of the policy, fewer where it has no more."""
        return self.policy.rank(prompts, self.k)

    def answer_with(
        self,
        examples: Sequence[Example],
        chosen: Sequence[Sequence[Program]],
        evaluator: Evaluator,
    ) -> list[list[Answer]]:
        """Return the answer of every program, in their order."""
        answered = zip(chosen, run_chosen(examples, chosen, evaluator), strict=True)
        return [list(map(Answer.of_trial, programs, trials)) for programs, trials in answered]


def run_chosen(
    examples: Sequence[Example], chosen: Sequence[Sequence[Program]], evaluator: Evaluator
) -> list[list[Trial]]:
    """Return what each of its programs answers to each question."""
    pairs = [
        (example, program)
        for example, programs in zip(examples, chosen, strict=True)
        for program in programs
    ]
    trials = iter(evaluator.answer_pairs(pairs))
    return [[next(trials) for _ in programs] for programs in chosen]
