"""What chooses programs for prompts, what answers questions, and the simplest of each."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from skiploop.arguments import instance, listed, texts, whole_number
from skiploop.errors import ConfigError, ProgramError
from skiploop.policies.why import Considered, Why
from skiploop.programs.program import Program
from skiploop.tasks.base import Example, Grade
from skiploop.trials.store import Trial

if TYPE_CHECKING:
    from skiploop.engine.completion import Completion
    from skiploop.engine.decoding.prefill_choice import ChoosesInPrefill, PrefillChoice
    from skiploop.tasks.prompt_form import PromptForm
    from skiploop.trials.evaluator import Evaluator


class Policy(Protocol):
    """Chooses programs for prompts without looking at answers.

    Attributes:
        name: Unique within one table.
    """

    name: str

    def rank(self, prompts: Sequence[str], k: int) -> list[list[Program]]:
        """Return at most `k` different programs a prompt, the best first, never none."""


@runtime_checkable
class ChoosesLate(Protocol):
    """A policy that may choose while the prompts run."""

    def during_prefill(self, k: int = 1) -> ChoosesInPrefill:
        """Return what chooses the programs that `rank` gives.

        Raises:
            ConfigError: It has to choose before.
        """


class FixedPolicy:
    """Gives every prompt the same programs, the best first.

    Attributes:
        form: None: they were learned from no questions.

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
        self.form: PromptForm | None = None

    def rank(self, prompts: Sequence[str], k: int) -> list[list[Program]]:
        """Return the first `k` programs, for every prompt."""
        k = whole_number("k", k, at_least=1, error=ConfigError)
        return [self.programs[:k] for _ in texts("prompts", prompts)]

    def why(self, prompt: str) -> Why:
        """Return the programs: nothing is expected of one more than of others."""
        return Why(considered=tuple(Considered(program=one) for one in self.programs))

    def during_prefill(self, k: int = 1) -> PrefillChoice:
        """Refuse: nothing is left to choose while a prompt runs.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(f"{self.name} gives {k} programs that are known before the prompt runs")


class IdentityPolicy(FixedPolicy):
    """Gives every prompt the plain model."""

    def __init__(self, n_layers: int) -> None:
        super().__init__([Program.identity(n_layers)], name="identity")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What an answer took.

    Attributes:
        n_passes: Mean layer passes of a prompt token, those of all programs that had to answer for
            it; what several start with is counted once. A layer that runs for half of the tokens
            counts one half.
        kv_bytes: Key-value bytes that are held when the answer ends, those of all programs that
            had to answer for it; None where nobody can tell. `Evaluator.kv_bytes` counts them.
        choosing_s: Seconds in which its programs were chosen; None where nobody measured.
    """

    n_passes: float
    kv_bytes: int | None = None
    choosing_s: float | None = None

    @classmethod
    def of_program(
        cls, example: Example, program: Program, n_new_tokens: int, evaluator: Evaluator
    ) -> Cost:
        """Return what it takes that one program answers a question with so many tokens."""
        kv_bytes = evaluator.kv_bytes(example, program, n_new_tokens)
        return cls(n_passes=program.n_slots, kv_bytes=kv_bytes)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a method says to one question.

    Attributes:
        program: What wrote it; the identity where no program can say it.
        text: What was written.
        correct: The verdict; None if it could not be graded.
        n_tokens: New tokens; 0 where a choice was picked by likelihood.
        confidence: How sure the answer is, 0..1; None if the logits were not numbers.
        cost: What it took.
        logprob: Log-probability of the text; None if the logits were not numbers, or the method
            does not say.
        stopped_by: By what the text ended, as in `Completion`; empty if the method does not say.
    """

    program: Program
    text: str
    correct: bool | None
    n_tokens: int
    confidence: float | None
    cost: Cost
    logprob: float | None = None
    stopped_by: str = ""

    @classmethod
    def of_trial(cls, example: Example, trial: Trial, evaluator: Evaluator) -> Answer:
        """Return the answer of one program to a question, as sure as it is likely."""
        return cls(
            program=trial.program,
            text=trial.text,
            correct=trial.correct,
            n_tokens=trial.n_tokens,
            confidence=None if trial.logprob is None else math.exp(trial.logprob),
            cost=Cost.of_program(example, trial.program, trial.n_tokens, evaluator),
            logprob=trial.logprob,
            stopped_by=trial.stopped_by,
        )

    @classmethod
    def of_completion(cls, completion: Completion, grade: Grade, cost: Cost) -> Answer:
        """Return the answer that something else than a trial wrote, as sure as it is likely."""
        is_number = completion.stopped_by != "nan"
        return cls(
            program=completion.program,
            text=completion.text,
            correct=grade.correct,
            n_tokens=len(completion.token_ids),
            confidence=math.exp(completion.logprob) if is_number else None,
            cost=cost,
        )

    @classmethod
    def of_sample(
        cls, example: Example, completion: Completion, grade: Grade, evaluator: Evaluator
    ) -> Answer:
        """Return the answer that a program wrote at random, as sure as it is likely."""
        n_tokens = len(completion.token_ids)
        cost = Cost.of_program(example, completion.program, n_tokens, evaluator)
        return cls.of_completion(completion, grade, cost)


class Method(ABC):
    """Answers questions, with programs that it chooses or in any other way.

    What a program can say goes through `evaluator.answer_pairs`, which shares work between rows
    and, in a run, remembers. A method that runs the model in a way of its own, such as an early
    exit or a skip of single tokens, needs three things:

    1. `choose` as it is here, which returns no program for any prompt.
    2. `answer_with` runs `evaluator.stack` on `evaluator.prompt(example)`, up to
       `evaluator.task.max_new_tokens` new tokens and `evaluator.task.stop`, and has all texts
       graded together by `evaluator.grade_texts`.
    3. Every `Answer` has the identity as its program and a `Cost` that the method counts itself:
       `n_passes` need not be whole, `kv_bytes` is what its own cache holds at the end.

    The same question gets the same answer again, whatever is asked beside it. Nothing of this is
    stored as a trial, but a run keeps the answers of a method with a `fingerprint`;
    `tests/model/test_own_executor.py` has such a method.

    Attributes:
        name: Unique within one table.
        n_needed: Programs that it needs for an answer, the first ones that it chooses.
    """

    name: str
    n_needed: int = 0

    @property
    def fingerprint(self) -> str | None:
        """What changes when answers may, beside those of model and question; None: not known."""
        return None

    def choose(self, prompts: Sequence[str]) -> list[list[Program]]:
        """Return the programs that are to answer each prompt, the best first.

        There are none, unless a method chooses some: it runs the model in a way of its own.
        """
        return [[] for _ in texts("prompts", prompts)]

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
        """Return the answers to each question, that of the method first."""
        started = time.perf_counter()
        chosen = self.choose([evaluator.prompt(example) for example in examples])
        choosing_s = (time.perf_counter() - started) / max(len(examples), 1)
        return [
            [replace(one, cost=replace(one.cost, choosing_s=choosing_s)) for one in answers]
            for answers in self.answer_with(examples, chosen, evaluator)
        ]

    @property
    def chooses_late(self) -> bool:
        """Whether `answer_alone` chooses programs while the prompt runs."""
        return False

    def answer_alone(self, example: Example, evaluator: Evaluator) -> list[Answer]:
        """Return the answer to one question, and those that it needed for it."""
        return self.answer([example], evaluator)[0]


class PolicyMethod(Method):
    """Answers with the programs that a policy ranks first."""

    def __init__(self, policy: Policy, k: int, name: str) -> None:
        self.policy = policy
        self.k = k
        self.n_needed = k
        self.name = name

    @abstractmethod
    def combine(
        self,
        examples: Sequence[Example],
        trials: Sequence[Sequence[Trial]],
        evaluator: Evaluator,
    ) -> list[list[Answer]]:
        """Return the answers to each question, that of the method first.

        Args:
            examples: Questions.
            trials: What each chosen program answered to each of them, the best one first.
            evaluator: What ran them.
        """

    def choose(self, prompts: Sequence[str]) -> list[list[Program]]:
        """Return the best `k` programs of the policy, fewer where it has no more."""
        return self.policy.rank(prompts, self.k)

    def answer_with(
        self,
        examples: Sequence[Example],
        chosen: Sequence[Sequence[Program]],
        evaluator: Evaluator,
    ) -> list[list[Answer]]:
        """Return what the method makes of the answers of the programs."""
        pairs = [
            (example, program)
            for example, programs in zip(examples, chosen, strict=True)
            for program in programs
        ]
        trials = iter(evaluator.answer_pairs(pairs))
        found = [[next(trials) for _ in programs] for programs in chosen]
        return self.combine(examples, found, evaluator)

    @property
    def chooses_late(self) -> bool:
        """Whether the policy chooses while the prompt runs, so that no layer runs twice for it."""
        return self._late() is not None

    def answer_alone(self, example: Example, evaluator: Evaluator) -> list[Answer]:
        """Return the answer to one question, and those that it needed for it.

        The programs are chosen while the prompt runs, where the policy can do that and the question
        has no choices.
        """
        choice = self._late()
        if choice is None or example.choices:
            return super().answer_alone(example, evaluator)
        trials = evaluator.answer_choosing([example], choice, self.n_needed)
        return self.combine([example], trials, evaluator)[0]

    def _late(self) -> ChoosesInPrefill | None:
        """Return what chooses while a prompt runs; None where that has to happen before."""
        if isinstance(self.policy, ChoosesLate):
            with suppress(ConfigError):
                return self.policy.during_prefill(self.n_needed)
        return None


class Ranked(PolicyMethod):
    """Answers with the program that a policy ranks first.

    Args:
        policy: Ranks programs.
        k: Programs that run: those after the first one tell what a better choice could reach.
    """

    def __init__(self, policy: Policy, k: int = 1) -> None:
        super().__init__(policy, k, policy.name)
        self.n_needed = 1

    def combine(
        self,
        examples: Sequence[Example],
        trials: Sequence[Sequence[Trial]],
        evaluator: Evaluator,
    ) -> list[list[Answer]]:
        """Return the answer of every program, in their order."""
        return answers_of(examples, trials, evaluator)


def answers_of(
    examples: Sequence[Example], trials: Sequence[Sequence[Trial]], evaluator: Evaluator
) -> list[list[Answer]]:
    """Return the answers that trials of each question are."""
    return [
        [Answer.of_trial(example, trial, evaluator) for trial in found]
        for example, found in zip(examples, trials, strict=True)
    ]


def held_by_all(answers: Sequence[Answer]) -> int | None:
    """Return the key-value bytes of several answers together, None if one cannot tell."""
    sizes = [one.cost.kv_bytes for one in answers]
    return sum(size for size in sizes if size is not None) if None not in sizes else None
