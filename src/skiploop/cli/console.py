"""What commands show while they work, and how they end."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from skiploop.cli.interrupt import Interrupt
from skiploop.cli.lines import ProgressLines
from skiploop.jsontext import json_text
from skiploop.runs.provenance import collect
from skiploop.trials.progress import Tally
from skiploop.trials.store import Trial

if TYPE_CHECKING:
    from rich.progress import Progress

    from skiploop.policies.polar.checkpoint import Metrics
    from skiploop.report.report import Report
    from skiploop.report.table import Table

    Bar = Progress | ProgressLines


WIDE = 120
"""Columns of a terminal that has room for a bar and what was found so far."""
SPEED_S = 120
"""Seconds over which the speed is measured: a batch may take longer than half a minute."""


def prepare(n_threads: int) -> None:
    """Get ready to run a model: threads, and one voice on stderr.

    Args:
        n_threads: Processor threads of torch. Next to another busy process, two of them are
            many times slower than one.
    """
    import torch
    from transformers.utils import logging as transformers_logging

    torch.set_num_threads(n_threads)
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    show_log()


def show_log() -> None:
    """Send what the library says about its work to stderr, and nothing from the hub's client.

    That one logs every failed attempt; the error that follows says it once.
    """
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # read when it is imported
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # if it was imported before
    logger = logging.getLogger("skiploop")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("skiploop: %(message)s"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def print_json(figures: Mapping[str, object]) -> None:
    """Print one JSON object as the last line on stdout."""
    print(json_text(figures, ensure_ascii=True), flush=True)


def made_by(**extra: object) -> dict[str, object]:
    """Return the `provenance` of a command without a run, and its time under `timing`.

    Args:
        **extra: What only the command knows, such as `model=...`.
    """
    facts = collect(**extra)
    made_at = facts.pop("time")
    return {"provenance": facts, "timing": {"made_at": made_at}}


def say(text: str) -> None:
    """Print one line about the work in progress on stderr."""
    print(f"skiploop: {text}", file=sys.stderr, flush=True)


def print_table(table: Table) -> None:
    """Print a table of words on stdout, with its title and note, as wide as the terminal."""
    from rich.console import Console
    from rich.text import Text

    from skiploop.cli.columns import parts

    console = Console(width=shutil.get_terminal_size().columns)
    console.print(Text(table.title, style="bold"))
    for part in parts(table, console.width):
        console.print(part)
    console.print(Text(f"{table.note}\n" if table.note else ""))


def print_report(report: Report, folder: Path) -> None:
    """Print the main table of an evaluation, if any, what follows, and where the report is."""
    from skiploop.report.conclusions import conclusions
    from skiploop.report.tables.policies import layers_table, policies_table

    if report.policies:
        print_table(policies_table(report.policies, report.timing).transposed())
        print_table(layers_table(report.policies))
    print("\n".join(conclusions(report)))
    print(f"report: {folder / 'report' / 'index.html'}")


def peak_memory_bytes() -> int:
    """Return the most memory that this process has held so far."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


INTERRUPT = Interrupt(say)
"""Of this process: there is one keyboard."""


class TrialProgress(Tally):
    """Counts finished answers and shows them on stderr.

    Args:
        bar: Shows the counts; None shows nothing.
        name: What is being done.
        total: Trials expected, if known.
        stored: Tells how many trials of it were stored before, which pass by only when they are
            asked for again.
    """

    def __init__(
        self,
        bar: Bar | None,
        name: str,
        total: int | None = None,
        stored: Callable[[], int] = lambda: 0,
    ) -> None:
        self.n_trials = 0
        self.total = total
        self._told: set[int] = set()
        self._n_others = 0
        self._stored = stored
        self._base: dict[str, bool | None] = {}
        self._right: set[str] = set()
        self._bar = bar or ProgressLines(lambda _: None)
        self._task = self._bar.add_task(name, total=total, facts="")

    def __call__(self, trials: Sequence[Trial]) -> None:
        """Count finished trials; one that is asked for again counts once."""
        self._told.update(hash((trial.example_id, trial.program)) for trial in trials)
        for trial in trials:
            if trial.program.is_identity:
                self._base[trial.example_id] = trial.correct
            if trial.correct:
                self._right.add(trial.example_id)
        self._show()

    def count(self, n_answers: int) -> None:
        """Count finished answers that are no trials."""
        self._n_others += n_answers
        self._show()

    def expect(self, n_answers: int) -> None:
        """Note that so many further ones will come."""
        self.total = self.n_trials + n_answers
        self._bar.update(self._task, total=self.total)

    def _show(self) -> None:
        self.n_trials = len(self._told) + self._n_others
        self._bar.update(self._task, completed=self.n_trials, facts=self.facts())
        INTERRUPT.check()

    def summary(self) -> str:
        """Return what is done, in one line."""
        n_done = max(self.n_trials, self._stored())
        of = f"{min(n_done, self.total)} of {self.total}" if self.total else str(n_done)
        facts = self.facts() if n_done == self.n_trials else ""
        return f"{of} trials ({facts})" if facts else f"{of} trials"

    def facts(self) -> str:
        """Return what was found so far, in one line; empty before the plain model has answered."""
        if not self._base:
            return ""
        n_right = sum(correct is True for correct in self._base.values())
        fixed = sum(self._base[i] is False for i in self._right if i in self._base)
        return f"base {n_right} of {len(self._base)} right, {fixed} more found a program"


class EpochProgress:
    """Counts finished epochs and shows them on stderr."""

    def __init__(self, bar: Bar, total: int) -> None:
        self._last: Metrics | None = None
        self._total = total
        self._bar = bar
        self._task = bar.add_task("train", total=total, facts="")

    def __call__(self, metrics: Metrics) -> None:
        """Note a finished epoch."""
        self._last = metrics
        self._bar.update(self._task, completed=metrics["epoch"], facts=self.summary())
        INTERRUPT.check()

    def summary(self) -> str:
        """Return what is done, in one line."""
        if self._last is None:
            return f"0 of {self._total} epochs"
        loss = self._last["train_loss"]
        return f"{self._last['epoch']} of {self._total} epochs, training loss {loss:.3f}"


@contextmanager
def resumable(stages: Sequence[TrialProgress | EpochProgress], folder: Path) -> Iterator[None]:
    """On Ctrl-C, finish what is being graded; on a second one, or then, say what is not lost."""
    try:
        with INTERRUPT.at_the_next_stop():
            yield
    except KeyboardInterrupt:
        command = shlex.join(["skiploop", *sys.argv[1:]])
        done = "; ".join(stage.summary() for stage in stages)
        say(f"interrupted after {done}; {folder} holds it, go on with: {command}")
        raise


@contextmanager
def counted(
    folder: Path, name: str, total: int | None = None, stored: Callable[[], int] = lambda: 0
) -> Iterator[TrialProgress]:
    """Show the trials of one stage, and on Ctrl-C say what of it is not lost."""
    with progress_bar() as bar:
        progress = TrialProgress(bar, name, total, stored)
        with resumable([progress], folder):
            yield progress


@contextmanager
def progress_bar() -> Iterator[Bar]:
    """Open a progress bar on stderr, or lines now and then where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield ProgressLines(say)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed or 0:.1f}/s")

    console = Console(stderr=True)
    is_wide = console.width >= WIDE
    columns = (
        TextColumn("{task.description}"),
        *([BarColumn()] if is_wide else []),
        MofNCompleteColumn(),
        Speed(),
        TimeRemainingColumn(),
        *([TextColumn("{task.fields[facts]}")] if is_wide else []),
    )
    with Progress(*columns, console=console, speed_estimate_period=SPEED_S) as progress:
        yield progress
