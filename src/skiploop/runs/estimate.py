"""What a comparison would take, counted before anything starts: rows, operations, hours, disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from skiploop.models.outline import Outline
from skiploop.report.table import Table
from skiploop.runs.compare import CompareConfig
from skiploop.runs.entries import Stage
from skiploop.runs.folder import RunFolder
from skiploop.runs.judging import samples_of_choices
from skiploop.runs.policies import find
from skiploop.runs.stages import Settings, settings_of, stages_of
from skiploop.runs.tries import n_tries
from skiploop.runs.work import Work, work
from skiploop.tasks.base import Task


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A whole comparison.

    Attributes:
        parts: In the order in which they run; none for what is finished.
        weight_bytes: Of the model.
        rate: Operations a second.
    """

    parts: tuple[Work, ...]
    weight_bytes: int
    rate: float

    @property
    def total(self) -> Work:
        """All parts as one, with the model on the disk."""
        return Work(
            what="in all",
            n_rows=sum(part.n_rows for part in self.parts),
            flops=sum(part.flops for part in self.parts),
            n_bytes=self.weight_bytes + sum(part.n_bytes for part in self.parts),
        )

    def figures(self) -> dict[str, object]:
        """Return parts and sums, as they stand in JSON."""
        return {
            "parts": self.parts,
            "rate": self.rate,
            "hours": self.total.seconds(self.rate) / 3600,
            "weight_bytes": self.weight_bytes,
            "disk_bytes": self.total.n_bytes,
        }

    def words(self) -> str:
        """Return rows and hours of all parts in a line."""
        return self.total.words(self.rate)

    def table(self) -> Table:
        """Return one row a part, and their sum."""
        rows = (
            *((part.what, *self._cells(part)) for part in self.parts),
            ("the model", "", "", "", f"{self.weight_bytes / 1e9:.3g}"),
            ("all", *self._cells(self.total)),
        )
        note = (
            "Counted: rows x layer passes x tokens beyond what all prompts start with, at "
            f"{self.rate / 1e12:.3g} TFLOP a second (--rate). Rows that share more and what is "
            "known already take less. Training takes minutes more."
        )
        header = ("part", "answers", "PFLOP", "hours", "GB on disk")
        return Table("Estimate, nothing was started", header, rows, note)

    def _cells(self, part: Work) -> tuple[str, ...]:
        return (
            f"{part.n_rows:,}",
            f"{part.flops / 1e15:.3g}",
            f"{part.seconds(self.rate) / 3600:.3g}",
            f"{part.n_bytes / 1e9:.3g}",
        )


def estimate(
    run: RunFolder,
    others: Sequence[Task],
    config: CompareConfig,
    settings: Settings,
    known: Outline,
    rate: float,
) -> Estimate:
    """Count what a comparison would run; training is not counted, it takes minutes."""
    size, tokenizer = known.size, known.tokenizer
    names = config.names(size.n_layers)
    parts = []
    for stage in stages_of(names, run):
        if stage in ("search", "menu") and not run.facts(stage):
            n_rows, split = _rows_of(run, stage, settings, size.n_layers)
            parts.append(work(stage, n_rows, run.task, split, size, tokenizer))
    for name in names:
        if n_rows := n_tries(name, run, size.n_layers):
            parts.append(work(f"making {name}", n_rows, run.task, "train", size, tokenizer))
    for task in (run.task, *others):
        examples = task.examples(config.split, config.limit)
        left_out = samples_of_choices(names, examples)
        n_answers = sum(_n_answers(name) for name in names if name not in left_out)
        n_rows = len(examples) * n_answers
        parts.append(work(task.name, n_rows, task, config.split, size, tokenizer))
    return Estimate(parts=tuple(parts), weight_bytes=known.n_bytes, rate=rate)


def _rows_of(run: RunFolder, stage: Stage, settings: Settings, n_layers: int) -> tuple[int, str]:
    """Return the answers of a search or a menu, and of which part of the task."""
    told = settings_of(run, stage, settings.get(stage, {}))
    return told.n_trials if stage == "search" else told.n_trials(n_layers), told.split


def _n_answers(name: str) -> int:
    """Return how many answers a method writes to a question."""
    entry, argument = find(name)
    return int(argument) if entry.role in {"vote", "sample"} and argument else 1
