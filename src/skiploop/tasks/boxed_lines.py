"""Questions from a file of JSON lines, in the paper's protocol."""

from __future__ import annotations

import hashlib
from pathlib import Path

from skiploop.errors import ConfigError
from skiploop.tasks.base import in_splits
from skiploop.tasks.boxed import Box, BoxedTask
from skiploop.tasks.jsonl import TEST_SHARE, VALIDATION_SHARE, read_questions


class BoxedLinesTask(BoxedTask):
    """The questions of a file that `jsonl` reads, put and graded as the paper does.

    There are no solved questions in the prompt. The splits are those that `jsonl` makes.

    Args:
        file: As for `jsonl`, without choices.
        box: See `BoxedTask`.

    Raises:
        DataError: The file cannot be read, or a line is no question; the message names the line.
        ConfigError: The questions have choices, or `box` is something else.
        MissingExtraError: math-verify is not installed.
    """

    def __init__(self, file: str, *, box: Box = "last") -> None:
        content, examples = read_questions(file)
        if examples[0].choices:
            raise ConfigError(f"the questions of {file} have choices: use jsonl:{file}")
        splits = in_splits(examples, validation=VALIDATION_SHARE, test=TEST_SHARE)
        digest = hashlib.sha256(content).hexdigest()[:8]
        super().__init__(f"boxed:{Path(file).name}@{digest}", splits, box=box)
