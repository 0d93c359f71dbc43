"""One policy next to the plain model, on held-out questions that nothing has read before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

from skiploop.config import renamed
from skiploop.errors import ConfigError
from skiploop.evaluation.timing import time_during_prefill
from skiploop.evaluation.wall_time import Timing
from skiploop.policies.selector.choice import MenuChoice
from skiploop.programs.program import Program
from skiploop.runs.session import Run
from skiploop.search.campaign import Campaign, SearchConfig
from skiploop.stats import Paired, Share
from skiploop.tasks.base import Example, Task
from skiploop.trials.progress import UNWATCHED, Progress, Tally
from skiploop.trials.store import Trial


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """What is compared on which questions.

    Attributes:
        policy: Name of the policy.
        limit: Questions.
        n_read: Questions at the start of the split that were read before: they are left out, and
            so is what is the same question.
        category: Only questions of this category; empty for all.
        split: Held-out part of the task.
        n_shown: Changed answers that are told in full.
        n_timed: Questions that are timed.
    """

    policy: str
    limit: int
    n_read: int
    category: str = renamed("kind", "")
    split: str = "test"
    n_shown: int = 5
    n_timed: int = 4

    def questions(self, task: Task) -> list[Example]:
        """Return the questions.

        Raises:
            ConfigError: There are fewer.
        """
        everything = task.examples(self.split)
        read = {example.group for example in everything[: self.n_read]}
        left = [example for example in everything if example.group not in read]
        asked = [example for example in left if self.category in ("", example.category)]
        if len(asked) < self.limit:
            raise ConfigError(
                f"{task.name} has {len(asked)} questions for this in {self.split!r}, asked for "
                f"{self.limit}: lower the limit"
            )
        return asked[: self.limit]


@dataclass(frozen=True, kw_only=True)
class ChangedAnswer:
    """A question on which the policy and the plain model got different verdicts.

    Attributes:
        question: Its text.
        gold: The right answer.
        plain: What the plain model wrote.
        chosen: What the model wrote under the chosen program.
        program: The chosen program.
    """

    question: str
    gold: str
    plain: str
    chosen: str
    program: Program

    def figures(self) -> dict[str, object]:
        """Return plain data, the program in its text form."""
        return {**asdict(self), "program": str(self.program)}


@dataclass(frozen=True, kw_only=True)
class GainShown:
    """A policy and the plain model on the same questions.

    Attributes:
        policy: Name of the policy.
        plain: Right answers of the plain model.
        chosen: Right answers under the chosen programs.
        paired: Both verdicts, those of the policy first.
        mean_slots: Layer passes of the chosen program, mean over questions.
        n_layers: Those of the plain model.
        changed: The first answers that changed, whether for better or worse.
        solved: The first question that the plain model answers right, None without one.
        timing: Wall times, each question alone.
    """

    policy: str
    plain: Share
    chosen: Share
    paired: Paired
    mean_slots: float
    n_layers: int
    changed: tuple[ChangedAnswer, ...]
    solved: Example | None
    timing: Timing

    def figures(self) -> dict[str, object]:
        """Return all but the times and the question that is searched, by name."""
        told = {**vars(self)}
        del told["solved"], told["timing"]
        return told


def show_gain(
    run: Run,
    policy: MenuChoice,
    config: DemoConfig,
    progress: Tally = UNWATCHED,
) -> GainShown:
    """Answer the questions with the plain model and under the programs that a policy chooses.

    Verdicts that the run holds are not made again.

    Raises:
        RunError: The folder holds a demo with other settings.
        ConfigError: The task has too few questions.
    """
    examples = config.questions(run.task)
    runner = run.runner(progress)
    prompts = [run.task.prompt(example) for example in examples]
    programs = [ranked[0] for ranked in policy.rank(prompts, 1)]
    identity = Program.identity(run.stack.n_layers)
    plain_pairs = [(example, identity) for example in examples]
    chosen_pairs = list(zip(examples, programs, strict=True))
    pairs = list(dict.fromkeys([*plain_pairs, *chosen_pairs]))
    progress.expect(len(pairs))
    with run.lock_config("demo", config):
        trials = dict(zip(pairs, runner.grade_pairs(pairs), strict=True))
        plain = [trials[pair].correct for pair in plain_pairs]
        chosen = [trials[pair].correct for pair in chosen_pairs]
        verdicts = list(zip(chosen, plain, strict=True))
        differing = [i for i, pair in enumerate(verdicts) if set(pair) == {True, False}]
        shown = differing[: config.n_shown]
        written = runner.answer_pairs(
            [pair for i in shown for pair in (plain_pairs[i], chosen_pairs[i])]
        )
        timing = time_during_prefill(run.stack, prompts[: config.n_timed], policy)
    run.note_provenance("demo")
    solved = [example for example, verdict in zip(examples, plain, strict=True) if verdict]
    return GainShown(
        policy=policy.name,
        plain=Share.of(plain),
        chosen=Share.of(chosen),
        paired=Paired.of(verdicts, [example.group for example in examples]),
        mean_slots=fmean(program.n_slots for program in programs),
        n_layers=identity.n_slots,
        changed=tuple(
            ChangedAnswer(
                question=examples[i].question,
                gold=examples[i].gold,
                plain=before.text,
                chosen=after.text,
                program=programs[i],
            )
            for i, before, after in zip(shown, written[::2], written[1::2], strict=True)
        ),
        solved=solved[0] if solved else None,
        timing=timing,
    )


def search_one(
    run: Run, example: Example, budget: int, progress: Progress | None = None
) -> Sequence[Trial]:
    """Try so many programs on one question, and return every trial of it, the identity first."""
    config = SearchConfig(limit=1, budget=budget)
    Campaign(run.runner(progress), [example], config, run.config.seed).search()
    return run.store.asked("search", run.stack.n_layers)[example.id]
