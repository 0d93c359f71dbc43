"""Runs pairs of a question and a program, and grades what is written; remembers nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from skiploop.engine.batching.encoding import encode
from skiploop.engine.cache.states import StateCache
from skiploop.engine.completion import Completion
from skiploop.engine.decoding.drafts import can_score
from skiploop.engine.decoding.growing import GrowingTexts, Told
from skiploop.engine.decoding.prefill_choice import ChoosesInPrefill
from skiploop.engine.decoding.row_state import TokenColumn
from skiploop.engine.nan import first_bad_slot
from skiploop.engine.options import Options
from skiploop.engine.sampling import Sampling
from skiploop.engine.score import choose
from skiploop.programs.program import Program
from skiploop.stack import LayerStack
from skiploop.tasks.base import Example, Grade, Task
from skiploop.trials.store import Key, Trial

Pair = tuple[Example, Program]

GRADED_TOGETHER = 64
"""Answers that are graded together, and the most finished ones that a crash can lose."""


class Evaluator:
    """Runs and grades; asked again, it runs again.

    Args:
        stack: The frozen model.
        task: Gives prompts and verdicts.
        sampling: How tokens of answers are drawn; None for the most likely ones.
        seed: Of the draws, the same for every pair.
        told: Told the number of a pair, and what is written for it so far.
    """

    def __init__(
        self,
        stack: LayerStack,
        task: Task,
        *,
        sampling: Sampling | None = None,
        seed: int = 0,
        told: Told | None = None,
    ) -> None:
        self.stack = stack
        self.task = task
        self.sampling = sampling
        self.seed = seed
        self._told = told
        self._scorable: dict[str, bool] = {}
        self._n_tokens: dict[str, int] = {}

    def prompt(self, example: Example) -> str:
        """Return what the model reads of a question."""
        return self.task.prompt(example)

    def answer_pairs(self, pairs: Sequence[Pair]) -> list[Trial]:
        """Return the trial of each pair, in order, with the whole text of the answer.

        Cost:
            One run of the model for each pair. What pairs have in common is run once.
        """
        return _in_order(pairs, self.stream_answers([*keyed(pairs).values()]))

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
        different = [*keyed(pairs).values()]
        return _in_order(pairs, self.stream_grades(different, saved, score_gold=score_gold))

    def stream_answers(self, pairs: Sequence[Pair]) -> Iterator[list[Trial]]:
        """Yield the trials of different pairs as they end, so many as are graded together."""
        return self._graded(self._answers(pairs))

    def stream_grades(
        self, pairs: Sequence[Pair], saved: StateCache | None = None, *, score_gold: bool = False
    ) -> Iterator[list[Trial]]:
        """Yield as `stream_answers` does; texts and arguments are those of `grade_pairs`."""
        return self._graded(
            self._answers(pairs, may_decide=True, saved=saved, score_gold=score_gold)
        )

    def answer_choosing(
        self, examples: Sequence[Example], choice: ChoosesInPrefill, k: int
    ) -> list[list[Trial]]:
        """Return the trials of the programs that are chosen for each question while it runs.

        Args:
            examples: Questions without choices.
            choice: Chooses `k` programs for each prompt, which comes so many times in a row.
            k: How many.

        Cost:
            That of `answer_pairs`; the layers by which is chosen are among those that run anyway.
        """
        asked = [example for example in examples for _ in range(k)]
        options = self._options(len(asked))
        columns = self._stream([self.prompt(example) for example in asked], choice, options)
        done = {row: found for column in columns for row, found in column.finished.items()}
        answers = [((example, done[row].program), done[row]) for row, example in enumerate(asked)]
        trials = self._trials_of(answers)
        return [trials[start : start + k] for start in range(0, len(asked), k)]

    def sample_pairs(
        self, pairs: Sequence[Pair], sampling: Sampling, seeds: Sequence[int]
    ) -> list[tuple[Completion, Grade]]:
        """Return one answer to each pair that is drawn at random, and its verdict.

        Asked for again, they are drawn again, and are the same in float32.

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
        grades = self.grade_texts([example for example, _ in pairs], [c.text for c in completions])
        return list(zip(completions, grades, strict=True))

    def grade_texts(self, examples: Sequence[Example], texts: Sequence[str]) -> list[Grade]:
        """Return the verdict on one text for each question, whoever wrote it."""
        return self.task.grade_many(examples, texts)

    def kv_bytes(self, example: Example, program: Program, n_new_tokens: int) -> int | None:
        """Return the bytes of the keys and values that an answer leaves behind.

        Those of the prompt and of all new tokens but the last, which no layer reads. None where
        the model keeps none, or keeps something else.
        """
        if example.id not in self._n_tokens:
            self._n_tokens[example.id] = len(encode(self.stack, [self.prompt(example)])[0])
        n_tokens = self._n_tokens[example.id] + max(n_new_tokens - 1, 0)
        return self.stack.kv_bytes(program, n_tokens)

    def can_score(self, example: Example) -> bool:
        """Whether the right answer of a question gets a log-probability if it is asked for."""
        if example.id not in self._scorable:
            draft = self.task.draft(example)
            self._scorable[example.id] = bool(draft) and can_score(
                self.stack,
                self.task.prompt(example),
                replace(self._options(1), drafts=[draft], score_drafts=True),
            )
        return self._scorable[example.id]

    def _options(self, n_rows: int) -> Options:
        return Options(
            max_new_tokens=self.task.max_new_tokens,
            stop=self.task.stop,
            sampling=self.sampling,
            seeds=[self.seed] * n_rows if self.sampling else (),
        )

    def _graded(self, answers: Iterator[tuple[Pair, Completion]]) -> Iterator[list[Trial]]:
        while together := list(islice(answers, GRADED_TOGETHER)):
            yield self._trials_of(together)

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
        options = replace(
            self._options(len(pairs)),
            drafts=drafts,
            score_drafts=score_gold,
            decided=(lambda row, text: self.task.can_only_be_wrong(pairs[row][0], text))
            if may_decide
            else None,
            saved=saved if all(drafts) else None,  # without a draft, most answers must go on
        )
        prompts = [self.task.prompt(example) for example, _ in pairs]
        for column in self._stream(prompts, [program for _, program in pairs], options):
            for row, completion in column.finished.items():
                yield pairs[row], completion

    def _stream(
        self,
        prompts: Sequence[str],
        programs: Sequence[Program] | ChoosesInPrefill,
        options: Options,
    ) -> Iterator[TokenColumn]:
        """Yield what the model writes, and tell whoever looks on."""
        columns = self.stack.stream(prompts, programs, options)
        if self._told is None or self.stack.tokenizer is None:
            yield from columns
            return
        growing = GrowingTexts(self.stack, options, self._told)
        for column in columns:
            growing.add(column)
            yield column

    def _choices(self, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, Completion]]:
        chosen = choose(
            self.stack,
            [self.task.prompt(example) for example, _ in pairs],
            [[f" {choice}" for choice in example.choices] for example, _ in pairs],
            [program for _, program in pairs],
        )
        for index, completion in chosen:
            yield pairs[index], completion

    def _trials_of(self, answers: Sequence[tuple[Pair, Completion]]) -> list[Trial]:
        grades = self._grade(answers)
        dtype = str(self.stack.dtype).removeprefix("torch.")
        return [
            Trial(
                example_id=example.id,
                program=program,
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

    def _grade(self, answers: Sequence[tuple[Pair, Completion]]) -> list[Grade]:
        open_ = [i for i, (_, c) in enumerate(answers) if c.stopped_by not in ("nan", "decided")]
        verdicts = self.grade_texts(
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


def keyed(pairs: Iterable[Pair]) -> dict[Key, Pair]:
    """Return every pair once, by the key of its trial."""
    return {(example.id, program): (example, program) for example, program in pairs}


def _in_order(pairs: Sequence[Pair], trials: Iterable[Sequence[Trial]]) -> list[Trial]:
    found = {(one.example_id, one.program): one for some in trials for one in some}
    return [found[example.id, program] for example, program in pairs]
