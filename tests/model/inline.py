"""Workers as threads of this process: the same jobs and the same texts, and nothing to start."""

import json
import threading
from queue import SimpleQueue

from skiploop.backends.base import Backend, Work
from skiploop.backends.worker import do_job, made
from skiploop.runs.replica import FACTORY

SETTINGS = {"device": "cpu", "n_gpus": 0, "memory": None, "n_threads": 1}


class InlineBackend(Backend):
    def __init__(self, n_workers, factory=FACTORY, **settings):
        super().__init__(Work(factory, SETTINGS), n_workers=n_workers, **settings)

    def start(self, number, replies):
        return _Inline(self.work, number, replies)


class _Inline:
    def __init__(self, work, number, replies):
        self._texts = SimpleQueue()
        self._do = made(work.factory, {**work.settings, "number": number})
        threading.Thread(target=self._serve, args=(replies,), daemon=True).start()

    def send(self, text):
        self._texts.put(text)

    def stop(self):
        self._texts.put(None)

    def _serve(self, replies):
        replies.put((self, "ready", None))
        while text := self._texts.get():
            do_job(
                self._do,
                text,
                lambda what, told: replies.put((self, what, json.loads(json.dumps(told)))),
            )
