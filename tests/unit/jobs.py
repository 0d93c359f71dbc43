"""What the workers of the tests do: a job says what is to happen."""

import logging
import os
import signal
import time
from pathlib import Path


def factory(number, **settings):
    """Return what does jobs such as `{"say": [1, 2], "end": "kill"}`."""

    def do(job, tell):
        for part in job.get("say", ()):
            tell({"number": number, "said": part, **settings})
        if "sleep" in job:
            time.sleep(job["sleep"])
        if "log" in job:
            logging.getLogger("skiploop").warning(job["log"])
        flag = Path(job["once"]) if "once" in job else None
        is_first = flag is None or not flag.exists()
        if flag:
            flag.touch()
        if job.get("end") == "kill" and is_first:
            os.kill(os.getpid(), signal.SIGKILL)
        if job.get("end") == "raise":
            raise ValueError("no such\nquestion")

    return do
