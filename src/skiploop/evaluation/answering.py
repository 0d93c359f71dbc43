"""From ranked programs to records: run them, and let those vote that should."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from skiploop.evaluation.records import Record
from skiploop.policies.base import Policy
from skiploop.policies.self_consistency import SelfConsistency
from skiploop.policies.vote import VotePolicy, elect, probability, spoken
from skiploop.programs.program import Program
from skiploop.tasks.base import SPLITS, Example, Task
from skiploop.trials.runner import TrialRunner
from skiploop.trials.store import Trial

_Item = TypeVar("_Item")


def answer(
    runner: TrialRunner,
    examples: Sequence[Example],
    policies: Sequence[Policy],
    ranked: Mapping[str, Sequence[Sequence[Program]]],
) -> list[Record]:
    """Run what policies chose, each pair once.

    Args:
        runner: Evaluates and remembers.
        examples: Questions.
        policies: Who chose.
        ranked: Programs of each question, by the name of the policy.

    Returns:
        For each policy and question one record for each program in its rank. Of a vote the answer
        that won comes first, and then the others that were or might have been asked for.
    """
    pairs = {
        (example, program): None
        for by_example in ranked.values()
        for example, programs in zip(examples, by_example, strict=True)
        for program in programs
    }
    trials = dict(zip(pairs, runner.answer_pairs(list(pairs)), strict=True))
    records = []
    for policy in policies:
        if isinstance(policy, SelfConsistency):
            records += _sampled(policy, runner, examples)
            continue
        answers = [
            [(program, trials[example, program]) for program in programs]
            for example, programs in zip(examples, ranked[policy.name], strict=True)
        ]
        if isinstance(policy, VotePolicy):
            records += _voted(policy, runner.task, examples, answers)
            continue
        for example, found in zip(examples, answers, strict=True):
            records += _ranked(policy.name, example, found)
    return records


def extract(task: Task, prompt: str, texts: Sequence[str]) -> list[str]:
    """Return what the grader of a task takes for the answer in each text, empty if it finds none.

    How a text is read depends on the sort of the gold answer: that of the question with this
    prompt, or else that of the first question.

    Args:
        task: Grades.
        prompt: What the texts are answers to.
        texts: What was written.
    """
    examples = [example for split in SPLITS for example in task.examples(split)]
    example = next((one for one in examples if task.prompt(one) == prompt), examples[0])
    grades = task.grade_many([example] * len(texts), texts)
    return [grade.answer for grade in grades]


def _ranked(
    policy: str, example: Example, answers: Sequence[tuple[Program, Trial]]
) -> list[Record]:
    """Return one record for each answer, in their order."""
    return [
        Record(
            policy=policy,
            example_id=example.id,
            rank=rank,
            program=program,
            correct=trial.correct,
            n_tokens=trial.n_tokens,
            text=trial.text,
            confidence=None if trial.logprob is None else probability(trial.logprob),
        )
        for rank, (program, trial) in enumerate(answers)
    ]


def _voted(
    policy: VotePolicy,
    task: Task,
    examples: Sequence[Example],
    answers: Sequence[Sequence[tuple[Program, Trial]]],
) -> list[Record]:
    """Return the answers to each question, the one that wins first."""
    weights = policy.weigh(
        [task.prompt(example) for example in examples],
        [[program for program, _ in found] for found in answers],
        [[trial.logprob for _, trial in found] for found in answers],
    )
    by_question = zip(examples, answers, weights, strict=True)
    return [record for one in by_question for record in _counted(policy.name, *one)]


def _counted(
    policy: str,
    example: Example,
    answers: Sequence[tuple[Program, Trial]],
    weights: Sequence[float],
) -> list[Record]:
    """Return the answer that wins, with what the whole vote took, and then the others."""
    from skiploop.engine.plan.beginnings import count_cells  # loads torch

    trials = [trial for _, trial in answers]
    outcome = elect([one.answer for one in trials], [one.text for one in trials], weights)
    n_passes = count_cells([asked.layer_inputs for asked, _ in answers[: outcome.n_asked]])
    first, *others = _ranked(policy, example, _first(answers, outcome.winner))
    extra_passes = n_passes - first.n_slots
    return [replace(first, extra_passes=extra_passes, confidence=outcome.confidence), *others]


def _sampled(
    policy: SelfConsistency, runner: TrialRunner, examples: Sequence[Example]
) -> list[Record]:
    """Return all samples, one that most agree on first; the prompt runs once for all of them."""
    records = []
    for example, samples in zip(examples, policy.sample(runner, examples), strict=True):
        answers, texts = [grade.answer for _, grade in samples], [c.text for c, _ in samples]
        outcome = elect(answers, texts, [1.0] * len(samples))
        n_same = Counter(spoken(answers, texts))
        for rank, (completion, grade) in enumerate(_first(samples, outcome.winner)):
            records.append(
                Record(
                    policy=policy.name,
                    example_id=example.id,
                    rank=rank,
                    program=completion.program,
                    correct=grade.correct,
                    n_tokens=len(completion.token_ids),
                    text=completion.text,
                    confidence=n_same[grade.answer or completion.text] / len(samples),
                )
            )
    return records


def _first(items: Sequence[_Item], index: int) -> list[_Item]:
    """Return the items with one of them moved to the front."""
    return [items[index], *items[:index], *items[index + 1 :]]
