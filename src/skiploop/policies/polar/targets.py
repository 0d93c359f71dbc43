"""From graded programs to weighted training targets: one target for each valid program.

Source: arXiv 2606.06574, section 3.2; the weights are those of its released recipe
(tianyi-lab/PoLar, polar/data.py).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from skiploop.errors import ConfigError
from skiploop.programs.program import Program
from skiploop.programs.space import ProgramSpace
from skiploop.seeds import derive_seed


@dataclass(frozen=True)
class QuestionPrograms:
    """What a search found out about one question.

    Attributes:
        example_id: The `Example.id` of the question.
        prompt: The text that `Policy.rank` will be given for it.
        valid: Programs whose answer was graded correct.
        group: The `Example.group` of the question.
    """

    example_id: str
    prompt: str
    valid: tuple[Program, ...]
    group: str = ""


@dataclass(frozen=True)
class Target:
    """One (question, valid program) pair to learn from.

    Attributes:
        prompt: The question.
        program: A program that answers it.
        weight: Relative importance, above 0.
    """

    prompt: str
    program: Program
    weight: float


@dataclass(frozen=True, kw_only=True)
class TargetCounts:
    """How much of the questions became targets; nothing is dropped without being counted.

    Attributes:
        n_targets: Pairs to learn from.
        n_questions: Questions with at least one target.
        n_questions_without: Questions without one: no valid program, or none inside the space.
        n_outside_space: Valid programs that the space does not hold, over all questions.
    """

    n_targets: int
    n_questions: int
    n_questions_without: int
    n_outside_space: int


@dataclass(frozen=True, kw_only=True)
class TargetRules:
    """How many targets a question gives and how much each of them counts.

    Attributes:
        max_programs: Most targets of one question; more are sampled down.
        normalize: Whether a target weighs 1 / (targets of its question) instead of 1.
        identity_weight: Factor on that weight for the identity where a shorter program is valid
            too, so that such a question weighs less than others; 0 drops the identity there
            before targets are counted.

    Raises:
        ConfigError: A number is out of range.
    """

    max_programs: int = 50
    normalize: bool = True
    identity_weight: float = 0.30

    def __post_init__(self) -> None:
        if self.max_programs < 1:
            raise ConfigError(f"max_programs is {self.max_programs}: it must be at least 1")
        if not 0 <= self.identity_weight <= 1:
            raise ConfigError(f"identity_weight is {self.identity_weight}: it must be in 0..1")


def build_targets(
    questions: Sequence[QuestionPrograms], space: ProgramSpace, *, rules: TargetRules, seed: int
) -> tuple[list[Target], TargetCounts]:
    """Turn valid programs into weighted targets, in the order of the questions.

    Args:
        questions: Each with a different `example_id`.
        space: What the predictor can express.
        rules: Sampling and weights.
        seed: Decides which programs are sampled; each question has its own stream.
    """
    targets: list[Target] = []
    n_questions = n_outside_space = 0
    for question in questions:
        valid = list(dict.fromkeys(question.valid))
        usable = [program for program in valid if program in space]
        has_shorter = any(program.n_slots < program.n_layers for program in valid)
        rng = random.Random(derive_seed(seed, "targets", question.example_id))
        weights = _weights(usable, rules.identity_weight if has_shorter else 1.0, rules, rng)
        targets += [Target(question.prompt, program, w) for program, w in weights.items()]
        n_questions += bool(weights)
        n_outside_space += len(valid) - len(usable)
    return targets, TargetCounts(
        n_targets=len(targets),
        n_questions=n_questions,
        n_questions_without=len(questions) - n_questions,
        n_outside_space=n_outside_space,
    )


def _weights(
    programs: list[Program], identity_weight: float, rules: TargetRules, rng: random.Random
) -> dict[Program, float]:
    """Return the sampled programs of one question with their weights."""
    if not identity_weight:
        programs = [program for program in programs if not program.is_identity]
    if len(programs) > rules.max_programs:
        programs = rng.sample(programs, rules.max_programs)
    share = 1 / len(programs) if rules.normalize and programs else 1.0
    return {p: share * (identity_weight if p.is_identity else 1.0) for p in programs}
