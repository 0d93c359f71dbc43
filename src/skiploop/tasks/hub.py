"""Rows of data sets on the Hugging Face hub, and the splits that the paper cuts from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from skiploop.causes import reason
from skiploop.errors import DataError, DownloadError, one_line
from skiploop.extras import brought_by
from skiploop.tasks.base import Example, Split, text_position

N_TRAIN, N_VALIDATION, N_TEST = 1250, 250, 500
"""Sizes of the splits of every task of the paper (arXiv 2606.06574, appendix D.1)."""


def load_rows(
    repository: str, config: str | None = None, *, split: str, columns: Sequence[str]
) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of one split of a data set, from the local cache or from the hub.

    Args:
        repository: Name on the hub, such as `openai/gsm8k`.
        config: Configuration of the data set, if it has several.
        split: Split on the hub.
        columns: Columns that are needed; only these are read.

    Raises:
        MissingExtraError: The package `datasets` is not installed.
        DownloadError: The hub cannot be reached and the data set is not in the cache.
        DataError: The data set lacks the split or a column.
    """
    with brought_by("hub", f"{repository} is read with the package datasets"):
        import datasets
    try:
        table = datasets.load_dataset(repository, config, split=split)
    except OSError as error:
        raise DownloadError(
            f"{repository} could not be loaded from the Hugging Face hub "
            f"({reason(error)}): check the network, or use a local file as jsonl:<file>"
        ) from error
    except ValueError as error:
        raise DataError(f"{repository} has no split {split!r}: {one_line(error)}") from error
    missing = set(columns) - set(table.column_names)
    if missing:
        raise DataError(
            f"{repository} lacks the columns {', '.join(sorted(missing))}: "
            f"it has {', '.join(table.column_names)}; has the data set changed?"
        )
    yield from table.select_columns(list(columns))


def cut_splits(
    pool: Iterable[Example], test_pool: Iterable[Example] = ()
) -> dict[Split, list[Example]]:
    """Return splits of at most the paper's sizes, disjoint by question, in hash order.

    Args:
        pool: Questions for all splits, or for training and validation if there is a `test_pool`.
        test_pool: Questions for the test split; they are taken out of `pool`.

    Raises:
        DataError: The questions do not fill validation and test.
    """
    kept_for_test = distinct(test_pool)
    groups = {example.group for example in kept_for_test}
    ordered = sorted((one for one in distinct(pool) if one.group not in groups), key=_position)
    if kept_for_test:
        test = sorted(kept_for_test, key=_position)[:N_TEST]
    else:
        test, ordered = ordered[:N_TEST], ordered[N_TEST:]
    if len(test) < N_TEST or len(ordered) <= N_VALIDATION:
        raise DataError(
            f"{len(test) + len(ordered)} questions are too few for {N_TEST} test, {N_VALIDATION} "
            "validation and some train questions: has the data set changed?"
        )
    return {
        "train": ordered[N_VALIDATION : N_VALIDATION + N_TRAIN],
        "validation": ordered[:N_VALIDATION],
        "test": test,
    }


def distinct(examples: Iterable[Example]) -> list[Example]:
    """Return the first example of every group."""
    first: dict[str, Example] = {}
    for example in examples:
        first.setdefault(example.group, example)
    return list(first.values())


def words_of(question: str) -> str:
    """Return the words without case and a full stop at the end, by which questions are ordered.

    Not the key: what the key knows of spelling must not put all questions in another order.
    """
    return " ".join(question.casefold().split()).rstrip(".").rstrip()


def _position(example: Example) -> float:
    return text_position(words_of(example.question))
