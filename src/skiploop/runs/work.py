"""How much work is a part of a run: rows, operations, seconds, disk."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from transformers import PreTrainedTokenizerBase

from skiploop.box import CLOSED_BOX
from skiploop.engine.plan.beginnings import common_length
from skiploop.models.size import Size
from skiploop.report.words import duration
from skiploop.tasks.base import Task

GPU_RATE = 160e12
"""Operations a second where nobody says: 256 rows, each with a program of its own, at the shape of
Llama-3.2-3B in bfloat16 on one H200 (benchmarks/results)."""

CPU_RATE = 100e9
"""The same of one thread, SmolLM2-135M in float32: between the 20e9 of rows that share nothing and
the 260e9 of a menu, most of whose work is shared."""

_SAMPLE = 100
"""Questions by which the lengths of prompts and answers are known."""

_BYTES_A_TRIAL = 400
"""Of a trial in a run folder, beside its text: measured, with its index."""

_BYTES_A_TOKEN = 4


@dataclass(frozen=True, kw_only=True)
class Work:
    """A part of the work.

    Attributes:
        what: Its name.
        n_rows: Answers.
        flops: Operations, as if rows had nothing in common but what all prompts start with.
        n_bytes: What it leaves on the disk.
    """

    what: str
    n_rows: int
    flops: float
    n_bytes: int

    def seconds(self, rate: float) -> float:
        """Return how long it takes at so many operations a second."""
        return self.flops / rate

    def words(self, rate: float) -> str:
        """Return the same in a line."""
        return (
            f"{self.what}: {self.n_rows:,} answers or fewer, about {duration(self.seconds(rate))} "
            f"at {rate / 1e12:.3g} TFLOP a second"
        )


def stated_rate(device: str, n_threads: int) -> float:
    """Return the operations a second that a machine is taken to do where nobody says."""
    return CPU_RATE * n_threads if device == "cpu" else GPU_RATE


def work(
    what: str, n_rows: int, task: Task, split: str, size: Size, tokenizer: PreTrainedTokenizerBase
) -> Work:
    """Count so many answers to the questions of a task.

    An answer is taken to be as long as the gold one and what ends it; where nothing ends it but its
    box, as long as it may be.
    """
    examples = task.examples(split)[:_SAMPLE]
    prompts = [tokenizer(task.prompt(example))["input_ids"] for example in examples]
    n_shared = min(common_length(prompts[0][:-1], prompt) for prompt in prompts)
    n_read = fmean(map(len, prompts)) - n_shared
    n_new: float = max(task.max_new_tokens, 1)
    if set(task.stop) - {CLOSED_BOX}:
        n_gold = fmean(len(tokenizer(example.gold)["input_ids"]) for example in examples)
        n_new = min(n_new, n_gold + 1)
    a_row = size.flops(size.n_layers * (n_read + n_new - 1), n_new)
    n_bytes = round(n_rows * (_BYTES_A_TRIAL + _BYTES_A_TOKEN * n_new))
    return Work(what=what, n_rows=n_rows, flops=n_rows * a_row, n_bytes=n_bytes)
