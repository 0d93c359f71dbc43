"""A runner that runs nothing itself: blocks of its pairs are jobs of a backend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from skiploop.backends.base import Backend
from skiploop.backends.tries import Job
from skiploop.engine.cache.states import StateCache
from skiploop.stack import LayerStack
from skiploop.tasks.base import Task
from skiploop.trials.evaluator import Pair, keyed
from skiploop.trials.plain import pairs_out, trials_in
from skiploop.trials.progress import Progress
from skiploop.trials.runner import TrialRunner
from skiploop.trials.store import Key, Trial, TrialStore

LEAST_TOKENS = 16
"""New tokens that an answer counts as at least: reading the question takes as long."""

PROGRAMS_TOGETHER = 32
"""Programs of a job where it could have more of one question: many have little in common that a few
have not, while what all prompts start with runs once a program."""


class HandingRunner(TrialRunner):
    """A runner whose pairs are run by workers; what comes back is stored here.

    Args:
        stack: The frozen model, of which every worker has a replica.
        task: Gives prompts and verdicts.
        store: Remembers the trial of every pair.
        progress: Called with the trials that were graded together.
        backend: Its workers do jobs that say `pairs`.
        about: What every job says beside them.

    Guarantees:
        The pairs of a job do not depend on the number of workers, and neither do its batches
        (tests/model/test_workers.py).
    """

    def __init__(
        self,
        stack: LayerStack,
        task: Task,
        store: TrialStore,
        progress: Progress | None,
        *,
        backend: Backend,
        about: Mapping[str, object],
    ) -> None:
        super().__init__(stack, task, store, progress)
        self._backend = backend
        self._about = about

    def stream_answers(self, pairs: Sequence[Pair]) -> Iterator[list[Trial]]:
        """Yield as `Evaluator.stream_answers` does."""
        return self._from_workers(pairs, whole=True, score_gold=False)

    def stream_grades(
        self, pairs: Sequence[Pair], saved: StateCache | None = None, *, score_gold: bool = False
    ) -> Iterator[list[Trial]]:
        """Yield as `Evaluator.stream_grades` does; states stay with the workers."""
        return self._from_workers(pairs, whole=False, score_gold=score_gold)

    def _from_workers(
        self, pairs: Sequence[Pair], *, whole: bool, score_gold: bool
    ) -> Iterator[list[Trial]]:
        left = keyed(pairs)  # a job that is tried again leaves out what came of it

        def job(number: int, block: Sequence[Key]) -> Job:
            def asked() -> dict[str, object]:
                some = [left[key] for key in block if key in left]
                return {
                    **self._about,
                    "do": "pairs",
                    "whole": whole,
                    "score_gold": score_gold,
                    **pairs_out(some),
                }

            return Job(f"block {number} ({len(block)} trials, from {block[0][0]} on)", asked)

        jobs = [job(number, block) for number, block in enumerate(self._blocks(left), start=1)]
        for part in self._backend.map(jobs):
            trials = trials_in(part["trials"], self.stack.n_layers)
            for trial in trials:
                left.pop((trial.example_id, trial.program), None)
            yield trials

    def _blocks(self, pairs: Mapping[Key, Pair]) -> Iterator[list[Key]]:
        """Yield the pairs of each job, whose prompts start as much alike as possible."""
        examples = {example.id: example for example, _ in pairs.values()}
        prompts = {example.id: self.prompt(example) for example in examples.values()}
        by_prompt = sorted(pairs, key=lambda key: prompts[key[0]])
        most = self.stack.tuning.job_tokens // max(LEAST_TOKENS, self.task.max_new_tokens) or 1
        for bundle in bundles(by_prompt, most):
            yield from filled(bundle, most)


def bundles(keys: Sequence[Key], most: int) -> list[list[Key]]:
    """Return pairs with the same programs together, which share what all prompts start with.

    They are one bundle unless a question has so many programs that a job would have few questions.

    Args:
        keys: All pairs.
        most: Of them in a job.
    """
    n_of = Counter(example_id for example_id, _ in keys)
    n_together = max(PROGRAMS_TOGETHER, most // max(len(n_of), 1))
    if max(n_of.values(), default=0) <= n_together:
        return [list(keys)]
    programs = dict.fromkeys(program for _, program in keys)
    bundle_of = {program: number // n_together for number, program in enumerate(programs)}
    found: dict[int, list[Key]] = {}
    for key in keys:
        found.setdefault(bundle_of[key[1]], []).append(key)
    return list(found.values())


def filled(keys: Iterable[Key], most: int) -> Iterator[list[Key]]:
    """Yield so many pairs at most; those of a question stay together, as programs share work."""
    of_question: dict[str, list[Key]] = {}
    for key in keys:
        of_question.setdefault(key[0], []).append(key)
    block: list[Key] = []
    for some in of_question.values():
        if block and len(block) + len(some) > most:
            yield block
            block = []
        block = block + some
        while len(block) > most:
            yield block[:most]
            block = block[most:]
    if block:
        yield block
