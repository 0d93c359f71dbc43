"""DART-Math, mathematical questions in five tiers of difficulty, in the paper's protocol.

The paper does not say how its tiers are made. This is RE-PoLar's reconstruction: the queries of
both DART-Math pools, sorted by how often DeepSeekMath-7B-RL fails on them, cut into five parts.

Source: arXiv 2407.13690 (fail rates); DATEXIS/RE-PoLar @0544e8c, re_polar/datasets/dart_math.py.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from skiploop.errors import DataError
from skiploop.tasks.base import SPLITS, Example, Split, take_turns
from skiploop.tasks.boxed import Box, BoxedTask
from skiploop.tasks.hub import N_TEST, N_TRAIN, N_VALIDATION, distinct, load_rows, words_of
from skiploop.tasks.levels import read_levels

_POOLS = ("hkust-nlp/dart-math-pool-math", "hkust-nlp/dart-math-pool-gsm8k")
_N_LEVELS = 5
_SEED = 42


class DartMathTask(BoxedTask):
    """1,250 / 250 / 500 questions of each tier; all come from public training sets.

    Args:
        level: 1, the easiest, to 5, or several as `(1, 2)` or `"1,2"`: then the tiers take turns,
            and a question that stands in two of them comes once. It is in `example.category` and
            `example.meta["level"]`.
        box: See `BoxedTask`.

    Raises:
        ConfigError: There is no such level.
        DataError: The pools hold too few questions.
        DownloadError: The hub cannot be reached.

    Cost:
        The pools list every sampled answer: 4.3 million rows are read to find 15 thousand
        questions, minutes on the first use.
    """

    def __init__(self, *, level: int | str | Sequence[int] = 1, box: Box = "last") -> None:
        levels = read_levels("dart-math", level, range(1, _N_LEVELS + 1))
        rows = [row for pool in _POOLS for row in _join(pool)]
        parts = [_splits(_tier(rows, one), one) for one in levels]
        super().__init__(f"dart-math-{'+'.join(map(str, levels))}", _joined(parts), box=box)


def _join(pool: str) -> Iterator[dict[str, Any]]:
    """Yield the questions of one pool for which a fail rate is published."""
    info = load_rows(f"{pool}-query-info", split="train", columns=("query_id", "pass_rate"))
    fail_rates = {row["query_id"]: 1.0 - float(row["pass_rate"]) for row in info}
    for row in load_rows(pool, split="train", columns=("query_id", "query", "gt_ans", "domain")):
        fail_rate = fail_rates.pop(row["query_id"], None)  # later rows repeat the question
        if fail_rate is not None:
            yield {**row, "fail_rate": fail_rate}


def _tier(rows: Sequence[Mapping[str, Any]], level: int) -> list[Mapping[str, Any]]:
    """Return one of five equal parts by fail rate, without repeated texts."""
    ordered = sorted(rows, key=lambda row: (row["fail_rate"], row["query_id"]))
    start, stop = (round(part * len(ordered) / _N_LEVELS) for part in (level - 1, level))
    by_text: dict[str, Mapping[str, Any]] = {}
    for row in ordered[start:stop]:
        by_text.setdefault(words_of(row["query"]), row)
    return list(by_text.values())


def _joined(parts: Sequence[Mapping[Split, list[Example]]]) -> dict[Split, list[Example]]:
    """Return the splits of several tiers; a question of two splits is kept for the later one."""
    splits: dict[Split, list[Example]] = {}
    seen: set[str] = set()
    for split in reversed(SPLITS):
        found = distinct(take_turns([part[split] for part in parts]))
        splits[split] = [example for example in found if example.group not in seen]
        seen |= {example.group for example in splits[split]}
    return splits


def _splits(tier: list[Mapping[str, Any]], level: int) -> dict[Split, list[Example]]:
    random.Random(hash((_SEED, level))).shuffle(tier)  # the hash of two integers is a constant
    examples = distinct(
        Example(
            id=f"dart-math/{row['query_id']}",
            question=row["query"].strip(),
            gold=row["gt_ans"].strip(),
            category=f"level {level}",
            meta={"level": level, "domain": row["domain"], "fail_rate": row["fail_rate"]},
        )
        for row in tier
    )
    if len(examples) < N_TRAIN + N_VALIDATION + N_TEST:
        raise DataError(
            f"dart-math level {level} has {len(examples)} questions, expected at least "
            f"{N_TRAIN + N_VALIDATION + N_TEST}: have the pools on the hub changed?"
        )
    validation = examples[N_TRAIN : N_TRAIN + N_VALIDATION]
    test = examples[N_TRAIN + N_VALIDATION : N_TRAIN + N_VALIDATION + N_TEST]
    return {"train": examples[:N_TRAIN], "validation": validation, "test": test}
