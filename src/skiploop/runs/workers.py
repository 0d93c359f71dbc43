"""Starts the workers of a run: how many, where, and how they get their device."""

from __future__ import annotations

import os
from dataclasses import dataclass

from skiploop.backends.base import MAX_RETRIES, Backend, Work
from skiploop.backends.local import LocalBackend
from skiploop.errors import ConfigError
from skiploop.runs.replica import FACTORY

BACKENDS = ("local", "ray")


@dataclass(frozen=True, kw_only=True)
class WorkersConfig:
    """Who runs the pairs of a command.

    Attributes:
        backend: `local`, processes of this machine; `ray`, actors of a cluster.
        n_workers: How many; by default one a GPU, or one a processor where the model runs on them.
        ray_address: Of a cluster that is joined; by default Ray starts one on this machine.
        max_retries: Times that a job is tried again whose worker was lost.

    Raises:
        ConfigError: There is no such backend, or an address that is not of Ray.
    """

    backend: str = "local"
    n_workers: int | None = None
    ray_address: str | None = None
    max_retries: int = MAX_RETRIES

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise ConfigError(f"unknown backend {self.backend!r}: expected {' or '.join(BACKENDS)}")
        if self.ray_address and self.backend != "ray":
            raise ConfigError(f"{self.ray_address} is an address of Ray: add --backend ray")


def start(config: WorkersConfig, *, device: str, memory: int | None, n_threads: int) -> Backend:
    """Return a backend whose workers start with the first jobs.

    Args:
        config: Who, and how many.
        device: Where models run; with `cuda`, workers take turns at the GPUs.
        memory: Of each worker, as for `skiploop.load`.
        n_threads: Processor threads of each worker.

    Raises:
        BackendError: There is no cluster at the address.
        MissingExtraError: Ray is not installed.
    """
    import torch

    settings = {"device": device, "memory": memory, "n_threads": n_threads}
    if config.backend == "local":
        n_gpus = torch.cuda.device_count() if device == "cuda" else 0
        settings = {**settings, "n_gpus": n_gpus}
        n_fitting = n_gpus or max(1, len(os.sched_getaffinity(0)) // n_threads)
        return LocalBackend(
            Work(FACTORY, settings),
            n_workers=config.n_workers or n_fitting,
            max_retries=config.max_retries,
            n_threads=n_threads,
        )
    from skiploop.backends.ray import RayBackend

    return RayBackend(
        Work(FACTORY, {**settings, "n_gpus": 0}),  # Ray lets each actor see its own GPU alone
        n_workers=config.n_workers,
        max_retries=config.max_retries,
        n_threads=n_threads,
        n_gpus=int(device == "cuda"),
        address=config.ray_address,
    )
