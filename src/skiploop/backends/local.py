"""Workers as processes on this machine, started anew and not forked."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, cast

from skiploop.backends.base import MAX_RETRIES, Backend, Replies, Work
from skiploop.errors import BackendError

_START = "import sys; from skiploop.backends.worker import main; main(*sys.argv[1:])"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class LocalBackend(Backend):
    """Processes of this machine."""

    def __init__(
        self, work: Work, *, n_workers: int, max_retries: int = MAX_RETRIES, n_threads: int = 1
    ) -> None:
        super().__init__(work, n_workers=n_workers, max_retries=max_retries)
        self._n_threads = n_threads

    def start(self, number: int, replies: Replies) -> LocalWorker:
        """Start a process.

        Raises:
            BackendError: The system does not let it start.
        """
        settings = json.dumps({**self.work.settings, "number": number})
        source = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
        threads = dict.fromkeys(_THREADS, str(self._n_threads))
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, self.work.factory, settings],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
                env={**os.environ, **threads, "PYTHONPATH": path},
            )
        except OSError as error:
            raise BackendError(
                f"a worker could not be started ({error}): check that {sys.executable!r} can be "
                "run, or ask for fewer --workers"
            ) from error
        return LocalWorker(process, replies)


class LocalWorker:
    """One process, and the thread that reads what it says."""

    def __init__(self, process: subprocess.Popen[str], replies: Replies) -> None:
        self.process = process
        self._replies = replies
        threading.Thread(target=self._listen, daemon=True).start()

    def send(self, text: str) -> None:
        """Hand it a job."""
        with contextlib.suppress(OSError):  # it has ended, which its thread tells
            _pipe(self.process.stdin).write(text + "\n")
            _pipe(self.process.stdin).flush()

    def stop(self) -> None:
        """End the process and wait until it is gone."""
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError):  # what was not read any more cannot be flushed
            _pipe(self.process.stdin).close()

    def _listen(self) -> None:
        with _pipe(self.process.stdout) as lines, contextlib.suppress(ValueError):
            for line in lines:  # the last one is cut short where the process was killed
                self._replies.put((self, *json.loads(line)))
        code = self.process.wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        self._replies.put((self, "lost", f"process {self.process.pid} {how}"))


def _pipe(stream: IO[str] | None) -> IO[str]:
    return cast("IO[str]", stream)  # both ends are opened by `start`
