"""Pairs of a question and a program -> graded trials, each pair at most once per run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from skiploop.engine.cache.states import StateCache
from skiploop.engine.completion import Completion
from skiploop.engine.decoding.drafts import can_score
from skiploop.engine.nan import first_bad_slot
from skiploop.engine.options import Options
from skiploop.engine.sampling import Sampling
from skiploop.engine.score import choose
from skiploop.tasks.base import Example, Grade, Task
from skiploop.trials.evaluator import Pair
from skiploop.trials.store import Trial, TrialStore

if TYPE_CHECKING:
    from skiploop.stack import LayerStack

Progress = Callable[[Sequence[Trial]], None]

GRADED_TOGETHER = 64
"""Answers that are graded and stored together, and the most finished ones that a crash can lose."""


class TrialRunner:
    """Runs, grades and records.

    Args:
        stack: The frozen model.
        task: Gives prompts and verdicts.
        store: Remembers every trial.
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
        self.stack = stack
        self.task = task
        self.store = store
        self._progress = progress
        self._scorable: dict[str, bool] = {}

    def prompt(self, example: Example) -> str:
        """Return what the model reads of a question."""
        return self.task.prompt(example)

    def answer_pairs(self, pairs: Sequence[Pair]) -> list[Trial]:
        """Return the trial of each pair, in order, with the whole text of the answer.

        Cost:
            One run of the model for each pair that is new. What pairs have in common is run once.
        """
        return self._trials(pairs, self._answers, lambda _, trial: trial.stopped_by != "decided")

    def grade_pairs(
        self,
        pairs: Sequence[Pair],
        saved: StateCache | None = None,
        *,
        score_gold: bool = False,
    ) -> list[Trial]:
        """Return the trial of each pair, in order; a text may end where it can only be wrong.

        Args:
            pairs: Questions and programs.
            saved: States of earlier calls, to start from and to add to.
            score_gold: Whether trials need the log-probability of the right answer, where the task
                knows how that is written, the tokenizer keeps it apart from the prompt, and rows
                do not run alone for exactness.

        Guarantees:
            The verdicts are those of `answer_pairs` (tests/model/test_runner.py).
        """

        def answers(new: Sequence[Pair]) -> Iterator[tuple[Pair, Completion]]:
            return self._answers(new, may_decide=True, saved=saved, score_gold=score_gold)

        def is_enough(example: Example, trial: Trial) -> bool:
            if not score_gold or trial.gold_logprob is not None or trial.stopped_by == "nan":
                return True
            return not self._can_score(example)

        return self._trials(pairs, answers, is_enough)

    def sample_pairs(
        self, pairs: Sequence[Pair], sampling: Sampling, seeds: Sequence[int]
    ) -> list[tuple[Completion, Grade]]:
        """Return one answer to each pair that is drawn at random, and its verdict.

        They are not stored: asked for again, they are drawn again, and are the same in float32.

        Args:
            pairs: Questions and programs.
            sampling: How tokens are drawn.
            seeds: One a pair.

        Cost:
            What is written, and one run of what pairs have in common.
        """
        completions = self.stack.generate(
            [self.task.prompt(example) for example, _ in pairs],
            [program for _, program in pairs],
            max_new_tokens=self.task.max_new_tokens,
            stop=self.task.stop,
            sampling=sampling,
            seeds=seeds,
        )
        examples, texts = [example for example, _ in pairs], [one.text for one in completions]
        return list(zip(completions, self.task.grade_many(examples, texts), strict=True))

    def _can_score(self, example: Example) -> bool:
        """Whether the right answer of a question gets a log-probability if it is asked for."""
        if example.id not in self._scorable:
            draft = self.task.draft(example)
            self._scorable[example.id] = bool(draft) and can_score(
                self.stack,
                self.task.prompt(example),
                Options(
                    max_new_tokens=self.task.max_new_tokens,
                    stop=self.task.stop,
                    drafts=[draft],
                    score_drafts=True,
                ),
            )
        return self._scorable[example.id]

    def _trials(
        self,
        pairs: Sequence[Pair],
        answers: Callable[[Sequence[Pair]], Iterator[tuple[Pair, Completion]]],
        is_enough: Callable[[Example, Trial], bool],
    ) -> list[Trial]:
        keyed = {(example.id, str(program)): (example, program) for example, program in pairs}
        known = self.store.get(keyed)
        trials = {key: trial for key, trial in known.items() if is_enough(keyed[key][0], trial)}
        if trials and self._progress:
            self._progress(list(trials.values()))
        missing = [pair for key, pair in keyed.items() if key not in trials]
        finished: list[tuple[Pair, Completion]] = []
        for answer in answers(missing):
            finished.append(answer)
            if len(finished) == GRADED_TOGETHER:
                self._record(finished)
                finished = []
        self._record(finished)
        trials |= self.store.get((example.id, str(program)) for example, program in missing)
        return [trials[example.id, str(program)] for example, program in pairs]

    def _answers(
        self,
        pairs: Sequence[Pair],
        *,
        may_decide: bool = False,
        saved: StateCache | None = None,
        score_gold: bool = False,
    ) -> Iterator[tuple[Pair, Completion]]:
        """Yield the answers as they are finished, in any order."""
        if not pairs:
            return
        if pairs[0][0].choices:
            yield from self._choices(pairs)
            return
        drafts = [self.task.draft(example) for example, _ in pairs]
        options = Options(
            max_new_tokens=self.task.max_new_tokens,
            stop=self.task.stop,
            drafts=drafts,
            score_drafts=score_gold,
            decided=(lambda row, text: self.task.can_only_be_wrong(pairs[row][0], text))
            if may_decide
            else None,
            saved=saved if all(drafts) else None,  # without a draft, most answers must go on
        )
        prompts = [self.task.prompt(example) for example, _ in pairs]
        for column in self.stack.stream(prompts, [program for _, program in pairs], options):
            for row, completion in column.finished.items():
                yield pairs[row], completion

    def _choices(self, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, Completion]]:
        chosen = choose(
            self.stack,
            [self.task.prompt(example) for example, _ in pairs],
            [[f" {choice}" for choice in example.choices] for example, _ in pairs],
            [program for _, program in pairs],
        )
        for index, completion in chosen:
            yield pairs[index], completion

    def _record(self, answers: Sequence[tuple[Pair, Completion]]) -> None:
        """Grade answers, store them and tell the progress."""
        if not answers:
            return
        grades = self._grade(answers)
        dtype = str(self.stack.dtype).removeprefix("torch.")
        new = [
            Trial(
                example_id=example.id,
                program=str(program),
                correct=grade.correct,
                text=completion.text,
                answer=grade.answer,
                reason=grade.reason,
                n_tokens=len(completion.token_ids),
                logprob=None if completion.stopped_by == "nan" else completion.logprob,
                stopped_by=completion.stopped_by,
                n_rows=completion.batch_shape[0],
                n_positions=completion.batch_shape[1],
                dtype=dtype,
                gold_logprob=_gold_logprob(example, completion),
            )
            for ((example, program), completion), grade in zip(answers, grades, strict=True)
        ]
        self.store.add(new)
        if self._progress:
            self._progress(new)

    def _grade(self, answers: Sequence[tuple[Pair, Completion]]) -> list[Grade]:
        open_ = [i for i, (_, c) in enumerate(answers) if c.stopped_by not in ("nan", "decided")]
        verdicts = self.task.grade_many(
            [answers[i][0][0] for i in open_], [answers[i][1].text for i in open_]
        )
        by_index = dict(zip(open_, verdicts, strict=True))
        return [
            by_index[i] if i in by_index else self._ungraded(example, completion)
            for i, ((example, _), completion) in enumerate(answers)
        ]

    def _ungraded(self, example: Example, completion: Completion) -> Grade:
        """Return the verdict on an answer whose text says nothing."""
        if completion.stopped_by == "decided":
            return Grade(correct=False, reason="no right answer starts so")
        reason = "the logits were not numbers"
        if not example.choices:
            program = completion.program
            slot = first_bad_slot(
                self.stack, self.task.prompt(example), program, completion.token_ids
            )
            where = "the head" if slot is None else f"layer {program.path[slot]}, slot {slot}"
            reason += f", first after {where}"
        return Grade(None, reason=reason)


def _gold_logprob(example: Example, completion: Completion) -> float | None:
    """Return the log-probability of the right answer, where it is known."""
    if not completion.choice_logprobs:
        return completion.draft_logprob
    return completion.choice_logprobs[example.choices.index(example.gold)]
