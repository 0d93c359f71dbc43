"""Pairs of a question and a program -> graded trials, each pair at most once per run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from skiploop.engine.cache.states import StateCache
from skiploop.stack import LayerStack
from skiploop.tasks.base import Example, Task
from skiploop.trials.evaluator import Evaluator, Pair, keyed
from skiploop.trials.memory import within_memory
from skiploop.trials.progress import Progress
from skiploop.trials.store import Trial, TrialStore


class TrialRunner(Evaluator):
    """An evaluator that remembers: the only one that looks up and writes a store.

    Args:
        stack: The frozen model.
        task: Gives prompts and verdicts.
        store: Remembers the trial of every pair, but not what is drawn or chosen on the way.
        progress: Called with the trials that were graded together.

    Guarantees:
        A pair that the store knows is not run again (tests/model/test_runner.py).
    """

    def __init__(
        self,
        stack: LayerStack,
        task: Task,
        store: TrialStore,
        progress: Progress | None = None,
    ) -> None:
        super().__init__(stack, task)
        self.store = store
        self._progress = progress

    def answer_pairs(self, pairs: Sequence[Pair]) -> list[Trial]:
        """Return what `Evaluator.answer_pairs` returns; only what is new is run."""
        return self._once(
            pairs, self.stream_answers, lambda _, trial: trial.stopped_by != "decided"
        )

    def grade_pairs(
        self,
        pairs: Sequence[Pair],
        saved: StateCache | None = None,
        *,
        score_gold: bool = False,
    ) -> list[Trial]:
        """Return what `Evaluator.grade_pairs` returns; only what is new is run."""

        def stream(new: Sequence[Pair]) -> Iterator[list[Trial]]:
            return self.stream_grades(new, saved, score_gold=score_gold)

        def is_enough(example: Example, trial: Trial) -> bool:
            if not score_gold or trial.gold_logprob is not None or trial.stopped_by == "nan":
                return True
            return not self.can_score(example)

        return self._once(pairs, stream, is_enough)

    def _once(
        self,
        pairs: Sequence[Pair],
        stream: Callable[[Sequence[Pair]], Iterator[list[Trial]]],
        is_enough: Callable[[Example, Trial], bool],
    ) -> list[Trial]:
        asked = keyed(pairs)
        known = self.store.get(asked)
        trials = {key: trial for key, trial in known.items() if is_enough(asked[key][0], trial)}
        if trials and self._progress:
            self._progress(list(trials.values()))
        missing = {key: pair for key, pair in asked.items() if key not in trials}
        for new in within_memory(self.stack, missing, stream):
            self.store.add(new)
            if self._progress:
                self._progress(new)
            trials |= {(trial.example_id, trial.program): trial for trial in new}
        trials |= self.store.get(known.keys() & missing.keys())  # where more may stand
        return [trials[example.id, program] for example, program in pairs]
