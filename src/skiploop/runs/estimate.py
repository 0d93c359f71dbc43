"""What a comparison would take, counted before anything starts: rows, operations, hours, disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from skiploop.menus.menu import PARENTS, MenuConfig
from skiploop.models.outline import Outline, outline
from skiploop.models.size import Size
from skiploop.report.table import Table
from skiploop.runs.compare import CompareConfig
from skiploop.runs.entries import Stage
from skiploop.runs.folder import RunFolder
from skiploop.runs.policies import find
from skiploop.runs.stages import Settings, settings_of, stages_of
from skiploop.tasks.base import Task

GPU_RATE = 160e12
"""Operations a second where nobody says: 256 rows, each with a program of its own, at the shape of
Llama-3.2-3B in bfloat16 on one H200 (benchmarks/results)."""

CPU_RATE = 100e9
"""The same of one thread, SmolLM2-135M in float32: between the 20e9 of rows that share nothing and
the 260e9 of a menu, most of whose work is shared."""

_SAMPLE = 100
"""Questions by which the length of a prompt is known."""

_BYTES_A_TRIAL = 400
"""Of a trial in a run folder, beside its text: measured, with its index."""

_BYTES_A_TOKEN = 4


@dataclass(frozen=True, kw_only=True)
class Work:
    """A part of the work.

    Attributes:
        what: Its name.
        n_rows: Answers.
        flops: Operations, as if rows had nothing in common.
        n_bytes: What it leaves on the disk.
    """

    what: str
    n_rows: int
    flops: float
    n_bytes: int

    def seconds(self, rate: float) -> float:
        """Return how long it takes at so many operations a second."""
        return self.flops / rate


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
    def hours(self) -> float:
        """Of all parts."""
        return sum(part.seconds(self.rate) for part in self.parts) / 3600

    @property
    def disk_bytes(self) -> int:
        """Of the model and the run folder."""
        return self.weight_bytes + sum(part.n_bytes for part in self.parts)

    def figures(self) -> dict[str, object]:
        """Return parts and sums, as they stand in JSON."""
        return {
            "parts": self.parts,
            "rate": self.rate,
            "hours": self.hours,
            "weight_bytes": self.weight_bytes,
            "disk_bytes": self.disk_bytes,
        }

    def table(self) -> Table:
        """Return one row a part, and their sum."""
        rows = [
            (
                part.what,
                f"{part.n_rows:,}",
                f"{part.flops / 1e15:.3g}",
                f"{part.seconds(self.rate) / 3600:.3g}",
                f"{part.n_bytes / 1e9:.3g}",
            )
            for part in self.parts
        ]
        flops, n_rows = sum(one.flops for one in self.parts), sum(one.n_rows for one in self.parts)
        rows.append(("the model", "", "", "", f"{self.weight_bytes / 1e9:.3g}"))
        total = ("all", f"{n_rows:,}", f"{flops / 1e15:.3g}", f"{self.hours:.3g}")
        rows.append((*total, f"{self.disk_bytes / 1e9:.3g}"))
        note = (
            f"Counted: rows x layer passes x tokens, at {self.rate / 1e12:.3g} TFLOP a second "
            "(--rate). Rows that share work, answers that end early and what is known already "
            "take less. Training takes minutes more; what a method runs to learn by itself is not "
            "in it."
        )
        header = ("part", "answers", "PFLOP", "hours", "GB on disk")
        return Table("Estimate, nothing was started", header, tuple(rows), note)


def estimate(
    run: RunFolder,
    others: Sequence[Task],
    config: CompareConfig,
    settings: Settings,
    rate: float,
) -> Estimate:
    """Count what a comparison would run; of a model on the hub no weights are fetched.

    Training is not counted, it takes minutes; nor is what methods run to learn by themselves.

    Args:
        run: Where it would be.
        others: Tasks to judge on beside the run's own.
        config: What would be compared.
        settings: Of the stages, by name.
        rate: Operations a second.
    """
    known = outline(run.config.model)
    names = config.names(known.size.n_layers)
    parts = [
        _stage(run, stage, settings_of(run, stage, settings.get(stage, {})), known)
        for stage in stages_of(names, run)
        if stage in ("search", "menu") and not run.facts(stage)
    ]
    for task in (run.task, *others):
        n_questions = len(task.examples(config.split, config.limit))
        n_rows = n_questions * sum(map(_n_answers, names))
        parts.append(_work(task.name, n_rows, _lengths(task, config.split, known), known.size))
    return Estimate(parts=tuple(parts), weight_bytes=known.n_bytes, rate=rate)


def _stage(run: RunFolder, stage: Stage, told: Any, known: Outline) -> Work:  # noqa: ANN401 - one of CONFIGS
    """Count a search or a menu."""
    n_rows = told.n_trials if stage == "search" else _n_menu(told, known.size.n_layers)
    return _work(stage, n_rows, _lengths(run.task, told.split, known), known.size)


def _n_menu(told: MenuConfig, n_layers: int) -> int:
    """Return the answers of a menu: of each race half a table, then the menu on the rest."""
    raced = len(told.edits(n_layers)) + (told.max_edits - 1) * PARENTS * PARENTS
    return raced * told.race_questions // 2 + told.size * (told.limit - told.race_questions)


def _n_answers(name: str) -> int:
    """Return how many answers a method writes to a question."""
    entry, argument = find(name)
    return int(argument) if entry.role in {"vote", "sample"} and argument else 1


def _lengths(task: Task, split: str, known: Outline) -> tuple[float, int]:
    """Return the mean tokens of a prompt, and the most new tokens of an answer."""
    prompts = [task.prompt(example) for example in task.examples(split)[:_SAMPLE]]
    return fmean(len(known.tokenizer(prompt)["input_ids"]) for prompt in prompts), max(
        task.max_new_tokens, 1
    )


def _work(what: str, n_rows: int, lengths: tuple[float, int], size: Size) -> Work:
    n_prompt, n_new = lengths
    a_row = size.flops(size.n_layers * (n_prompt + n_new - 1), n_new)
    n_bytes = n_rows * (_BYTES_A_TRIAL + _BYTES_A_TOKEN * n_new)
    return Work(what=what, n_rows=n_rows, flops=n_rows * a_row, n_bytes=n_bytes)
