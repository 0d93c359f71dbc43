"""A run folder: one model, one task, and everything that was measured about them.

```
RUN/config.json        what was asked for: the run, and one section a command
RUN/provenance.json    versions, machine and command of each section
RUN/trials.sqlite      every graded (example, program)
RUN/predictor/         the trained predictor
RUN/menu.json          a menu of programs
RUN/scales.json        programs for it that scale layers, as they are learned
RUN/selector/          the trained choice from it
RUN/methods/           what other methods found out when they were made
RUN/answers/           test answers of methods that no program describes
RUN/records.jsonl      what the last evaluation judged
RUN/measured.json      what it measured beside them
RUN/readings.jsonl     which held-out questions evaluations have read
RUN/report.{md,json}     what is told about it, and in RUN/report/ as pages
RUN/compare/           a file for each task on which methods were compared
RUN/on/TASK/           a run folder of another task, on which what was learned here is judged
```
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self, TypeVar

from skiploop import config as settings
from skiploop.errors import ConfigError, RunError
from skiploop.files import remove_unfinished
from skiploop.jsontext import digest
from skiploop.models.packaged import DEFAULT_MODEL
from skiploop.runs.ledger import SETTINGS, TRIALS, Ledger, check_writable
from skiploop.runs.lock import LOCK_FILES, RunLock
from skiploop.tasks import from_anywhere, get_task
from skiploop.tasks.base import Task, questions_id
from skiploop.tasks.reframed import ReframedTask
from skiploop.trials.store import TrialStore

Config = TypeVar("Config")

_TABLES = ("search", "menu")
"""Sections of stages whose result is in the trials."""

_COMMANDS = {"run": "fit", "menu": "menu build", "selector": "train --method selector"}
"""What writes a section, where that is not the command of the same name."""

_NOT_LEARNED = ("evaluate", "demo")
"""Sections of stages that only look."""

_LONGEST_NAME = 100


def command_of(section: str) -> str:
    """Return the command that runs a stage."""
    return _COMMANDS.get(section, section)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What a run folder is about.

    Attributes:
        model: Anything that `skiploop.load` takes by name.
        dtype: Number format of weights and computation.
        exact: Whether every row runs alone, so that a trial does not depend on its batch.
        task: A name that `skiploop.get_task` takes; the path of a file in it becomes absolute.
        options: Options of the task, as `key=value`.
        form: A task in whose prompt the questions are put; empty for their own.
        form_options: Its options.
        seed: Seed of the searches and controls; the training has its own.
        weights: `LayerStack.model_id`; filled in when the model is loaded.
        questions: Identity of the questions, prompts and verdicts: the task's name and version;
            filled in when the task is made.
    """

    model: str = DEFAULT_MODEL
    dtype: str = "float32"
    exact: bool = False
    task: str = "arithmetic"
    options: tuple[str, ...] = ()
    form: str = ""
    form_options: tuple[str, ...] = ()
    seed: int = 0
    weights: str | None = None
    questions: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "task", from_anywhere(self.task))  # it is frozen

    @property
    def asked(self) -> str:
        """The task with its options and its prompt, as the name of a file or folder.

        Of a long one the end, and a digest of the whole.
        """
        form = ["in", self.form, *self.form_options] if self.form else []
        words = "-".join([self.task, *self.options, *form])
        name = re.sub(r"[^A-Za-z0-9.,=+-]+", "-", words).strip("-.")
        if len(name) <= _LONGEST_NAME:
            return name
        whole = f"-{digest(words)[:8]}"
        return name[len(whole) - _LONGEST_NAME :].strip("-.") + whole


class RunFolder:
    """An opened run folder: what it is about, and what it holds. No model.

    Args:
        folder: An existing folder with a `config.json`.
        config: What that file says.
    """

    def __init__(self, folder: Path, config: RunConfig) -> None:
        self.folder = folder
        self.config = config
        self._ledger = Ledger(folder)
        self._is_new = False
        self._lock = RunLock(folder)

    @classmethod
    def create(cls, folder: Path, config: RunConfig) -> Self:
        """Open the run folder of a configuration, or a new one, which is made with its first trial.

        Raises:
            RunError: The folder cannot be made or written, or is of another configuration.
        """
        check_writable(folder)
        run = cls(folder, config)
        known = run._ledger.sections.get("run")
        if known is not None:
            made_with = settings.from_dict(RunConfig, known)
            run.config = replace(config, weights=made_with.weights, questions=made_with.questions)
            run.refuse_differences("run", run.config)
        return run

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a run folder.

        Raises:
            RunError: It is none.
        """
        if not folder.is_dir():
            raise RunError(f"there is no folder {folder}: make a run with 'skiploop fit' first")
        run = cls(folder, RunConfig())
        run.config = run.section("run", RunConfig)
        return run

    def elsewhere(
        self, task: str, options: Sequence[str] = (), *, as_trained: bool = False
    ) -> RunConfig:
        """Return what a run of another task, with the same model, is about.

        Args:
            task: A name that `skiploop.get_task` takes.
            options: Options of the task, as `key=value`.
            as_trained: Whether its questions are put in the prompt of this run's own.

        Raises:
            ConfigError: This run's questions have no one prompt.
        """
        if as_trained and self.config.task.startswith("mix:"):
            raise ConfigError(
                f"the questions of {self.config.task} have no one prompt: put those of {task} in "
                "their own, with --prompt task"
            )
        return replace(
            self.config,
            task=task,
            options=tuple(options),
            form=self.config.task if as_trained else "",
            form_options=self.config.options if as_trained else (),
            questions=None,
        )

    @contextmanager
    def lock_config(self, section: str, config: object) -> Iterator[None]:
        """Store one section of the configuration for a stage, or check it against the stored one.

        What the run is about is stored with the first section. A stage that fails before it has a
        trial takes back what it stored: a mistake must not occupy a folder.

        Raises:
            RunError: The folder was made with other settings; the message names them.
        """
        self.refuse_differences(section, config)
        before = self._ledger.sections
        n_trials = len(self.store)
        self.record(section, config)
        try:
            yield
        except Exception:
            if section not in before and len(self.store) == n_trials:
                self._take_back(before)
            raise

    def _take_back(self, sections: Mapping[str, object]) -> None:
        """Go back to some sections of the configuration; without any, remove the run."""
        if sections:
            self._ledger.write_sections(sections)
            return
        self.store.close()
        del self.store
        for name in (SETTINGS, TRIALS, f"{TRIALS}-wal", f"{TRIALS}-shm", *LOCK_FILES):
            (self.folder / name).unlink(missing_ok=True)
        self._lock.release()
        if self._is_new:
            with suppress(OSError):  # somebody has put something into it
                self.folder.rmdir()

    def refuse_differences(
        self, section: str, config: object, *, remedy: str = "use another --out"
    ) -> None:
        """Check one section against the stored one, if there is one.

        Raises:
            RunError: A setting differs; the message names them.
        """
        if not self.has(section):
            return
        made = self.section(section, type(config))  # what did not exist then has its default
        differing = settings.differences(settings.to_dict(made), settings.to_dict(config))
        if differing:
            raise RunError(
                f"{self.folder} was made with another configuration ({section}: "
                f"{'; '.join(differing)}): use the same settings, or {remedy}"
            )

    def record(self, section: str, config: object) -> None:
        """Store one section of the configuration in the place of the last one."""
        now = {"run": settings.to_dict(self.config), section: settings.to_dict(config)}
        self._ledger.write_sections({**self._ledger.sections, **now})

    def forget(self, section: str) -> None:
        """Drop one section and where it came from: what it tells of is not there any more."""
        self._ledger.forget(section)

    def check(self, asked: Mapping[str, object]) -> None:
        """Refuse settings, some fields of `RunConfig`, that the run was not made with.

        Raises:
            RunError: One differs.
        """
        self.refuse_differences(
            "run", settings.from_dict(RunConfig, {**settings.to_dict(self.config), **asked})
        )

    def has(self, section: str) -> bool:
        """Whether a stage was started."""
        return section in self._ledger.sections

    def finished(self, section: str, cls: type[Config]) -> Config:
        """Return the configuration of a stage that ran to its end.

        Raises:
            RunError: It did not run, was interrupted, or its trials are lost.
        """
        config = self.section(section, cls)
        again = f"run the same 'skiploop {command_of(section)}' command again"
        if not self._ledger.facts(section):
            raise RunError(
                f"the {section} in {self.folder} is not finished: {again}, it goes on where it "
                "stopped"
            )
        if section in _TABLES:
            self._ledger.check_whole(section, lambda: self.n_trials, again)
        return config

    def section(self, section: str, cls: type[Config]) -> Config:
        """Return one stored section of the configuration.

        Raises:
            RunError: There is no such section: the command that writes it did not run.
        """
        known = self._ledger.sections.get(section)
        if known is None:
            raise RunError(
                f"{self.folder} holds no {section}: run 'skiploop {command_of(section)}' with it "
                "first"
            )
        try:
            return settings.from_dict(cls, known, section)
        except ConfigError as error:
            raise RunError(f"{self.folder / SETTINGS}: {error}") from error

    @property
    def settings(self) -> dict[str, object]:
        """The settings of every stage that learned something, by its name."""
        return {k: v for k, v in self._ledger.sections.items() if k not in _NOT_LEARNED}

    def facts(self, section: str) -> dict[str, object]:
        """Return where the figures of a finished section come from."""
        return self._ledger.facts(section)

    def provenance(self, section: str) -> dict[str, object]:
        """Return where the figures of a section come from, without the time."""
        return {key: value for key, value in self.facts(section).items() if key != "time"}

    @cached_property
    def task(self) -> Task:
        """The task, with its options.

        Raises:
            RunError: Its questions, prompts or verdicts are not those the run was made with.
        """
        task = _made(self.config.task, self.config.options)
        if self.config.form:
            task = ReframedTask(task, _made(self.config.form, self.config.form_options))
        questions = questions_id(task)
        if self.config.questions is None:
            self.config = replace(self.config, questions=questions)
        elif self.config.questions != questions:
            raise RunError(
                f"{self.folder} was made with the questions of {self.config.questions}, but "
                f"{self.config.task} is now {questions}: use another --out"
            )
        return task

    @cached_property
    def store(self) -> TrialStore:
        """Every trial of the run; while it is open, no other process can open it.

        Raises:
            RunError: Another process uses the run, or the file cannot be used or is damaged.
        """
        return self.open_store()

    def open_store(self) -> TrialStore:
        """Return the trials, opened and looked at; see `store`, which does so once."""
        self._is_new = not self.folder.exists()
        self._lock.acquire()
        remove_unfinished(self.folder)
        (self.folder / TRIALS).touch()  # with the rights that every other file gets
        store = TrialStore(self.folder / TRIALS)
        store.verify()
        return store

    @property
    def n_trials(self) -> int:
        """Trials stored so far."""
        if not (self.folder / TRIALS).exists():
            return 0
        with self.reading() as store:
            return len(store)

    @contextmanager
    def reading(self) -> Iterator[TrialStore]:
        """Open the trials without keeping the run from other processes."""
        with closing(TrialStore(self.folder / TRIALS)) as store:
            yield store


def _made(task: str, options: Sequence[str]) -> Task:
    return get_task(task, **settings.apply_overrides({}, options))
