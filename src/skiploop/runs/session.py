"""A run folder with its model: what the stages of a run work with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Self

import torch

from skiploop.backends.base import Backend
from skiploop.config import to_dict
from skiploop.loading import load
from skiploop.models.identity import check_model
from skiploop.policies.polar.policy import PredictorPolicy, load_predictor
from skiploop.policies.polar.training import TrainConfig
from skiploop.policies.selector.learning import SelectorConfig
from skiploop.policies.selector.policy import SelectorPolicy, load_selector
from skiploop.runs import provenance
from skiploop.runs.folder import RunConfig, RunFolder
from skiploop.stack import LayerStack
from skiploop.trials.handing import HandingRunner
from skiploop.trials.progress import Progress
from skiploop.trials.recheck import recheck
from skiploop.trials.runner import TrialRunner
from skiploop.trials.store import TrialStore

BESIDE = "on"
"""Folder of the run folders of other tasks, within a run."""

_OTHER_OUT = "use another --out"


class Run(RunFolder):
    """An opened run folder and the model that it is about.

    Attributes:
        device: Where the model runs.
        memory: Bytes that the keys and values of one batch may take; None as for `load`.
        backend: Whose workers run pairs, each on a replica of the model; None for this process.
    """

    device: str = "cpu"
    memory: int | None = None
    backend: Backend | None = None

    @classmethod
    def create(
        cls, folder: Path, config: RunConfig, *, device: str = "cpu", memory: int | None = None
    ) -> Self:
        """Open the run folder of a configuration, or a new one; see `RunFolder.create`."""
        run = super().create(folder, config)
        run.device, run.memory = device, memory
        return run

    @classmethod
    def open(cls, folder: Path, *, device: str = "cpu", memory: int | None = None) -> Self:
        """Open a run folder; see `RunFolder.open`."""
        run = super().open(folder)
        run.device, run.memory = device, memory
        return run

    @cached_property
    def stack(self) -> LayerStack:
        """The model, loaded on first use.

        Raises:
            RunError: It is not the model that the run was made with.
        """
        stack = load(
            self.config.model,
            dtype=self.config.dtype,
            device=self.device,
            memory=self.memory,
            exact=self.config.exact,
        )
        if self.config.weights is None:
            self.config = replace(self.config, weights=stack.model_id)
        else:
            what = f"{self.folder} was made with"
            check_model(self.config.weights, stack, what, _OTHER_OUT)
        return stack

    def beside(self, task: str, options: Sequence[str] = (), *, as_trained: bool = False) -> Run:
        """Return the run folder in which what was learned here is judged on another task.

        It lies in this one and shares its model; arguments as for `elsewhere`.

        Raises:
            ConfigError: As for `elsewhere`.
            RunError: The folder is there and of other questions or of another model.
        """
        made = replace(
            self.elsewhere(task, options, as_trained=as_trained), weights=self.stack.model_id
        )
        folder = self.folder / BESIDE / made.asked
        run = Run.create(folder, made, device=self.device, memory=self.memory)
        run.backend = self.backend
        check_model(str(run.config.weights), self.stack, f"{folder} was made with", _OTHER_OUT)
        run.stack = self.stack
        return run

    def open_store(self) -> TrialStore:
        """Return the trials, opened and looked at; see `RunFolder.store`.

        Raises:
            RunError: As there, or verdicts are others with the versions and the device of today.
        """
        stack, task = self.stack, self.task  # before a folder is made: they may be refused
        store = super().open_store()
        recheck(stack, task, store, remedy=_OTHER_OUT)
        return store

    @cached_property
    def selector(self) -> SelectorPolicy:
        """The trained selector, loaded on first use.

        Raises:
            RunError: There is none, it is not finished, or it is for another model.
        """
        self.finished("selector", SelectorConfig)
        return load_selector(self.folder, self.stack)

    @cached_property
    def predictor(self) -> PredictorPolicy:
        """The trained predictor, loaded on first use.

        Raises:
            RunError: There is none, it is not finished, or it is for another model.
        """
        policy = load_predictor(self.folder, self.stack)
        self.finished("train", TrainConfig)  # refuses what an interrupted training left
        return policy

    def runner(self, progress: Progress | None = None) -> TrialRunner:
        """Return what evaluates and remembers pairs in this run."""
        if self.backend is None:
            return TrialRunner(self.stack, self.task, self.store, progress)
        return HandingRunner(
            self.stack, self.task, self.store, progress, backend=self.backend, about=self.about
        )

    @property
    def about(self) -> dict[str, object]:
        """What a worker is told of the run, once model and task were made here."""
        return {
            "folder": str(self.folder),
            "run": to_dict(self.config),
            "versions": provenance.versions(),
        }

    def note_provenance(self, section: str) -> None:
        """Store where the figures of a section come from, which ends it."""
        facts = provenance.collect(
            model=self.config.model,
            weights=self.stack.model_id,
            dtype=self.config.dtype,
            device=self.device,
            n_threads=torch.get_num_threads(),
            task=self.task.name,
            task_version=self.task.version,
        )
        self._ledger.end(section, facts, self.n_trials)
