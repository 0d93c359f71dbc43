"""Workers as actors of Ray, on all machines of a cluster."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from queue import SimpleQueue
from typing import Any

from skiploop.backends.base import MAX_RETRIES, Backend, Replies, Work
from skiploop.backends.worker import do_job, made
from skiploop.errors import BackendError, one_line
from skiploop.extras import brought_by

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when it is imported
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # as later versions have it

with brought_by("ray", "workers on several machines are actors of the package ray"):
    import ray


class RayBackend(Backend):
    """Actors, each placed by Ray where a processor, or a GPU, is free.

    Args:
        work: What they run.
        n_workers: How many at most; None for one a GPU of the cluster, or a processor of it where
            none is needed.
        max_retries: As for `Backend`.
        n_threads: Processors of each.
        n_gpus: GPUs of each.
        address: Of a cluster that is joined; None starts one on this machine.

    Raises:
        BackendError: There is no cluster at the address, one cannot be started, or it has no room
            for a worker.
    """

    def __init__(
        self,
        work: Work,
        *,
        n_workers: int | None = None,
        max_retries: int = MAX_RETRIES,
        n_threads: int = 1,
        n_gpus: int = 0,
        address: str | None = None,
    ) -> None:
        self._needs = {"num_cpus": n_threads, "num_gpus": n_gpus}
        if address:
            _join(address)
        else:
            _start(n_workers * n_threads if n_workers else None)
        needs, has = {"CPU": n_threads, "GPU": n_gpus}, ray.cluster_resources()
        n_fitting = min(int(has.get(kind, 0) // each) for kind, each in needs.items() if each)
        if n_fitting < 1:
            raise BackendError(
                f"a worker needs {n_threads} CPUs and {n_gpus} GPUs, the Ray cluster has "
                f"{has.get('CPU', 0):g} and {has.get('GPU', 0):g}: start Ray on more machines"
            )
        super().__init__(work, n_workers=n_workers or n_fitting, max_retries=max_retries)

    def start(self, number: int, replies: Replies) -> RayWorker:
        """Start an actor, or wait in Ray until there is room for it."""
        settings = {**self.work.settings, "number": number}
        options: Mapping[str, Any] = {**self._needs, "max_restarts": 0, "max_concurrency": 1}
        actor = ray.remote(_Actor).options(**options).remote(self.work.factory, settings)
        return RayWorker(actor, replies)

    def close(self) -> None:
        """End all actors, and the cluster if it was started here."""
        super().close()
        ray.shutdown()


def _start(n_cpus: int | None) -> None:
    """Start a cluster on this machine.

    Raises:
        BackendError: It does not start.
    """
    try:
        ray.init(
            "local",  # and not the one that may be there
            num_cpus=n_cpus,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
    except Exception as error:  # Ray raises no more special one where a node does not start
        raise BackendError(
            f"a Ray cluster could not be started: {_reason(error)}; check whether the machine is "
            "too busy"
        ) from error


def _join(address: str) -> None:
    """Join a cluster.

    Raises:
        BackendError: There is none, or it does not let this process in.
    """
    try:
        _knock(address)
    except OSError as error:
        raise BackendError(
            f"a Ray cluster could not be joined at {address}: {_reason(error)}; check 'ray status' "
            "there, and give the address that 'ray start --head' printed"
        ) from error
    os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "3")  # tries of up to 40 s, else 20
    try:
        ray.init(address, log_to_driver=False, logging_level="ERROR")
    except Exception as error:  # Ray raises no more special one where it is not let in
        raise BackendError(
            f"a Ray cluster could not be joined at {address}: {_reason(error)}; give the address "
            "that 'ray start --head' printed, or auto on a machine of the cluster; where it asks "
            "for a token, set RAY_AUTH_MODE=token and have its token in ~/.ray/auth_token"
        ) from error


def _knock(address: str) -> None:
    """Fail at once where nobody listens, for which Ray waits minutes.

    Raises:
        OSError: Nobody does.
    """
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=_KNOCK_S).close()


_KNOCK_S = 10.0


def _reason(error: Exception) -> str:
    return one_line(error).rstrip(".")


class RayWorker:
    """One actor, and the threads that read what it says."""

    def __init__(self, actor: Any, replies: Replies) -> None:  # noqa: ANN401 (Ray has no type)
        self._actor = actor
        self._replies = replies
        self._listen(actor.ready.options(num_returns="streaming"))

    def send(self, text: str) -> None:
        """Hand it a job."""
        self._listen(self._actor.do.options(num_returns="streaming"), text)

    def stop(self) -> None:
        """End the actor."""
        ray.kill(self._actor)

    def _listen(self, method: Any, *arguments: str) -> None:  # noqa: ANN401 (Ray has no type)
        threading.Thread(target=self._read, args=(method, arguments), daemon=True).start()

    def _read(self, method: Any, arguments: tuple[str, ...]) -> None:  # noqa: ANN401
        try:
            for reference in method.remote(*arguments):
                self._replies.put((self, *json.loads(ray.get(reference))))
        except Exception as error:  # noqa: BLE001 (whatever it is, the actor is of no use any more)
            self._replies.put((self, "lost", one_line(error).partition(". ")[0]))


class _Actor:
    """The inside of an actor."""

    def __init__(self, factory: str, settings: Mapping[str, object]) -> None:
        self._do = made(factory, settings)

    def ready(self) -> Iterator[str]:
        """Yield that it can take jobs."""
        yield json.dumps(["ready", None])

    def do(self, text: str) -> Iterator[str]:
        """Do a job, and yield what is told of it while it is done."""
        said: SimpleQueue[tuple[str, object]] = SimpleQueue()
        thread = threading.Thread(
            target=do_job, args=(self._do, text, lambda *told: said.put(told)), daemon=True
        )
        thread.start()
        while True:
            what, told = said.get()
            yield json.dumps([what, told])
            if what in ("done", "failed"):
                return
