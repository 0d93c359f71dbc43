"""What a worker of a run does: it keeps the model, runs what it is told, and stores nothing."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from skiploop.config import from_dict
from skiploop.errors import BackendError
from skiploop.runs import provenance
from skiploop.runs.folder import RunConfig
from skiploop.runs.session import Run
from skiploop.search.campaign import Campaign, SearchConfig
from skiploop.stack import LayerStack
from skiploop.trials.plain import examples_in, pairs_in, trials_in, trials_out
from skiploop.trials.runner import TrialRunner
from skiploop.trials.store import TrialStore

FACTORY = f"{__name__}:replica"

Told = Callable[[object], None]


def replica(
    *, device: str, n_gpus: int, memory: int | None, n_threads: int, number: int
) -> Callable[[Mapping[str, Any], Told], None]:
    """Return what does the jobs of runs.

    Args:
        device: Where the model runs; `cuda` is one of the GPUs, by the worker's number.
        n_gpus: How many there are for workers on this machine.
        memory: As for `skiploop.load`.
        n_threads: Processor threads.
        number: Of the worker.
    """
    torch.set_num_threads(n_threads)
    place = f"{device}:{number % n_gpus}" if device == "cuda" and n_gpus else device
    return _Replica(place, memory)


class _Replica:
    """Models of the runs that jobs were of, and their tasks."""

    def __init__(self, device: str, memory: int | None) -> None:
        self._device = device
        self._memory = memory
        self._runs: dict[str, Run] = {}
        self._stacks: dict[tuple[object, ...], LayerStack] = {}

    def __call__(self, job: Mapping[str, Any], tell: Told) -> None:
        """Do a job: the searches of some questions, or some pairs of a question and a program.

        Raises:
            BackendError: The versions here are not those of the command.
        """
        if differing := provenance.differing(job["versions"]):
            raise BackendError(
                f"worker on {platform.node()} has {differing}, so its verdicts may differ: install "
                "the same versions on all machines"
            )
        run = self._run(job["folder"], job["run"])
        n_layers = run.stack.n_layers
        with closing(TrialStore(Path(":memory:"))) as store:
            runner = TrialRunner(
                run.stack, run.task, store, lambda some: tell({"trials": trials_out(some)})
            )
            if job["do"] == "pairs":
                pairs = pairs_in(job, n_layers)
                if job["whole"]:
                    runner.answer_pairs(pairs)
                else:
                    runner.grade_pairs(pairs, score_gold=job["score_gold"])
                return
            store.add(trials_in(job["known"], n_layers))
            config = from_dict(SearchConfig, job["config"])
            campaign = Campaign(runner, examples_in(job["examples"]), config, run.config.seed)
            campaign.search()
            campaign.control()
            tell({"asks": store.asks()})

    def _run(self, folder: str, about: Mapping[str, object]) -> Run:
        """Return the run that a job is of; its folder is not touched."""
        key = json.dumps([folder, about])
        if key not in self._runs:
            run = Run(Path(folder), from_dict(RunConfig, about))
            run.device, run.memory = self._device, self._memory
            of_model = (run.config.model, run.config.dtype, run.config.exact, run.config.weights)
            if of_model in self._stacks:
                run.stack = self._stacks[of_model]
            self._stacks[of_model] = run.stack
            self._runs[key] = run
        return self._runs[key]
