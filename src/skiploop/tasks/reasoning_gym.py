"""Any data set of the reasoning-gym package: procedural, graded by the set's own scorer.

An answer is graded in a grading process, because scorers can raise or hang on free text. The entry
itself goes there, not its index: another process may make another question from the same index.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from skiploop.errors import ConfigError, unknown_name
from skiploop.extras import brought_by
from skiploop.graders.isolate import Job, shared_pool
from skiploop.tasks.base import (
    SPLITS,
    Example,
    Grade,
    ListTask,
    Split,
    check_option,
    check_shares,
    check_split,
    digest_of,
    split_by_text,
)

with brought_by(
    "reasoning-gym", "data sets of reasoning-gym are made by the package reasoning_gym"
):
    import reasoning_gym
    from reasoning_gym.factory import DATASETS
    from reasoning_gym.utils import extract_answer as extract_tagged

_OWN_OPTIONS = ("shots", "validation", "test")
_INSTRUCTION = "Give only the final answer."
_SCORE = "skiploop.tasks.reasoning_gym:score"
_SEED, _SIZE, _SHOTS, _VALIDATION_SHARE, _TEST_SHARE = 42, 5000, 2, 0.1, 0.3
_N_PROBES = 20
"""Questions from which the length and the form of the answers are read."""
_OTHER_IN_EVERY_PROCESS = frozenset(
    {
        "codeio",
        "intermediate_integration",
        "isomorphic_strings",
        "knight_swap",
        "polynomial_multiplication",
        "ransom_note",
        "word_ladder",
    }
)
"""Data sets that draw from sets of texts, whose order Python changes from process to process."""
_ROOM_TOKENS = 16
_MAX_NEW_TOKENS = 512


class ReasoningGymTask(ListTask):
    """Questions of one reasoning-gym data set, answered directly.

    A question belongs to a split by its key alone; repeated texts are left out. Questions are
    made when asked for, in index order. An answer counts only if the scorer of the data set gives
    it exactly 1.0; before that the answer is cut out of the text: what is between the last
    `<answer>` tags, else the first line, or everything if gold answers have several lines or are
    not given.

    Args:
        dataset: Name in reasoning-gym, such as `chain_sum`.
        seed: Seed of the data set.
        size: Questions that are made at most, all splits together.
        shots: Solved questions in the prompt, of the train split, which then lacks their groups;
            fewer where the data set has no gold answers to show.
        validation: Share of the questions for validation, in 0..1.
        test: Share of the questions for the test split, in 0..1.
        config: Settings of the data set, such as `min_digits=2`.

    Raises:
        UnknownNameError: There is no such data set.
        ConfigError: A setting is unknown or refused by the data set, or the data set makes other
            questions in every process.
    """

    def __init__(
        self,
        dataset: str,
        *,
        seed: int = _SEED,
        size: int = _SIZE,
        shots: int = _SHOTS,
        validation: float = _VALIDATION_SHARE,
        test: float = _TEST_SHARE,
        **config: object,
    ) -> None:
        if dataset not in DATASETS:
            raise unknown_name("reasoning-gym data set", dataset, DATASETS)
        if dataset in _OTHER_IN_EVERY_PROCESS:
            raise ConfigError(
                f"{dataset} of reasoning-gym makes other questions in every process, so no run "
                "could go on: use another data set, or write its questions to a jsonl file once"
            )
        check_shares(validation, test)
        for option, value in (("seed", seed), ("size", size), ("shots", shots)):
            if type(value) is not int or value < 0:
                raise ConfigError(f"{option}={value!r} of {dataset}: expected a whole number")
        self._origin = _check_config(dataset, config, seed, size)
        self._source = _source(*self._origin)
        self._shares = (validation, test)
        self._made: dict[Split, list[Example]] = {split: [] for split in SPLITS}
        self._texts: set[str] = set()
        self._shown: set[str] = set()
        self._n_made = 0
        self._size = size
        changed = _changed(
            {"seed": (seed, _SEED), "size": (size, _SIZE), "shots": (shots, _SHOTS)}
            | {"validation": (validation, _VALIDATION_SHARE), "test": (test, _TEST_SHARE)}
            | {option: (value, None) for option, value in config.items()}
        )
        super().__init__(f"reasoning-gym:{dataset}{changed}", self._made)
        self._shots = self._take_shots(shots)
        probes = [example for split in SPLITS for example in self._made[split]]
        digest = digest_of([*self._shots, *probes])
        self.version = f"3+reasoning-gym{version('reasoning-gym')}+{digest}"
        golds = [example.gold for example in probes if example.gold]
        self._has_lines = not golds or any("\n" in gold for gold in golds)
        self.stop = ("\n\n",) if self._has_lines else ("\n",)
        longest = max((len(gold.encode()) for gold in golds), default=_MAX_NEW_TOKENS)
        self.max_new_tokens = min(longest + _ROOM_TOKENS, _MAX_NEW_TOKENS)

    def examples(self, split: str, limit: int | None = None) -> list[Example]:
        """Return the first `limit` questions of a split; all that `size` allows if None."""
        found = self._made[check_split(split)]
        while self._n_made < self._size and (limit is None or len(found) < limit):
            self._make_next()
        return super().examples(split, limit)

    def prompt(self, example: Example) -> str:
        """Return the instruction, the solved questions and this one."""
        solved = (f"{_ask(shot)} {shot.gold}" for shot in self._shots)
        return "\n\n".join([_INSTRUCTION, *solved, _ask(example)])

    def grade_many(self, examples: Sequence[Example], texts: Sequence[str]) -> list[Grade]:
        """Return the verdicts; None where the scorer fails on the answer."""
        answers = [self._extract(text) for text in texts]
        jobs = [
            Job(_SCORE, (*self._origin, example.meta["entry"], answer))
            for example, answer in zip(examples, answers, strict=True)
            if answer
        ]
        verdicts = iter(shared_pool().grade_many(jobs) if jobs else [])
        return [
            replace(next(verdicts), answer=answer)
            if answer
            else Grade(correct=False, reason="no answer")
            for answer in answers
        ]

    def draft(self, example: Example) -> str:
        """Return the gold answer as the solved questions show theirs, if it is one line."""
        return f" {example.gold}" if example.gold and "\n" not in example.gold else ""

    def _extract(self, text: str) -> str:
        tagged = extract_tagged(text)
        if tagged is not None:
            return str(tagged)
        text = text.strip()
        return text if self._has_lines else text.partition("\n")[0].strip()

    def _make_next(self) -> None:
        index = self._n_made
        self._n_made += 1
        entry = self._source[index]
        question = entry["question"].strip()
        text = " ".join(question.split())
        if text in self._texts:
            return
        self._texts.add(text)
        gold = str(entry["answer"] or "").strip()
        validation, test = self._shares
        dataset, config, seed, _ = self._origin
        example = Example(
            id=f"{dataset}/{seed}/{index}",
            question=question,
            gold=gold,
            answer_key=gold,  # each data set writes it in one way, and reads it in its own
            meta={
                "dataset": dataset,
                "config": config,
                "seed": seed,
                "index": index,
                "entry": _packed(entry),
            },
        )
        if example.group not in self._shown:
            split = split_by_text(question, validation=validation, test=test)
            self._made[split].append(example)

    def _take_shots(self, n_shots: int) -> list[Example]:
        """Make the first questions and take solved ones out of the train split."""
        train = self._made["train"]
        while self._n_made < self._size and (self._n_made < _N_PROBES or len(train) < n_shots):
            self._make_next()
        shots = [example for example in train if example.gold][:n_shots]
        self._shown = {example.group for example in shots}
        self._made["train"] = [one for one in train if one.group not in self._shown]
        return shots


def score(dataset: str, config: str, seed: int, size: int, entry: object, answer: str) -> Grade:
    """Return whether the data set's own scorer gives an answer full marks.

    Called in a grading process, with the settings as JSON and the entry from `_packed`. Partial
    marks are given for an answer that merely contains the gold answer, so they do not count.
    """
    source = _source(dataset, config, seed, size)
    return Grade(bool(source.score_answer(answer, _unpacked(entry)) == 1.0))


def _packed(value: Any) -> Any:  # noqa: ANN401 - as json.loads returns
    """Return a part of an entry as plain data for a grading process.

    JSON knows neither tuples nor numbers as keys, and some scorers look at both.
    """
    if isinstance(value, dict):
        return {"dict": [[_packed(key), _packed(one)] for key, one in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [_packed(one) for one in value]}
    return [_packed(one) for one in value] if isinstance(value, list) else value


def _unpacked(plain: Any) -> Any:  # noqa: ANN401 - any part of an entry
    """Return what `_packed` made plain data of."""
    if isinstance(plain, dict) and "dict" in plain:
        return {_unpacked(key): _unpacked(one) for key, one in plain["dict"]}
    if isinstance(plain, dict):
        return tuple(_unpacked(one) for one in plain["tuple"])
    return [_unpacked(one) for one in plain] if isinstance(plain, list) else plain


@lru_cache(maxsize=4)
def _source(dataset: str, config: str, seed: int, size: int) -> Any:  # noqa: ANN401 (no types)
    return reasoning_gym.create_dataset(dataset, seed=seed, size=size, **json.loads(config))


def _check_config(
    dataset: str, config: Mapping[str, object], seed: int, size: int
) -> tuple[str, str, int, int]:
    """Return what identifies the data set, after it has checked its settings itself."""
    known = sorted(field.name for field in fields(DATASETS[dataset][1]))
    for option in config:
        check_option(f"reasoning-gym:{dataset}", option, [*_OWN_OPTIONS, *known])
    try:
        origin = (dataset, json.dumps(config, sort_keys=True), seed, size)
        _source(*origin)
    except (AssertionError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"reasoning-gym refuses the settings {dict(config)} for {dataset}: {error}"
        ) from error
    return origin


def _changed(options: Mapping[str, tuple[object, object]]) -> str:
    """Return the options that are not at their default, for the name."""
    texts = (f",{key}={value}" for key, (value, default) in options.items() if value != default)
    return "".join(sorted(texts))


def _ask(example: Example) -> str:
    return f"Question: {example.question}\nAnswer:"
