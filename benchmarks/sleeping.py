"""A worker that sleeps, apart from all that is heavy, so that many of them fit on one machine."""

import time


def sleeper(number, seconds):
    """Return what sleeps instead of running a model."""

    def do(job, tell):
        time.sleep(seconds)
        tell({"number": number, "at": time.monotonic()})

    return do
