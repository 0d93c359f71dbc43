import json
import logging
import signal
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("skiploop", derandomize=True, deadline=None)
settings.load_profile("skiploop")

# A shell starts background jobs with Ctrl-C ignored, and their children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def conformance():
    path = Path(__file__).parent / "data" / "conformance.json"
    return json.loads(path.read_text())


@pytest.fixture(scope="session", autouse=True)
def batches_of_the_packaged_model():
    """Batches are cut by what a token costs in a layer; in tiny layers everything would be one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skiploop.engine.batching.rows.token_flops", lambda stack: 7_000_000)
        yield


@pytest.fixture(autouse=True)
def no_log_handlers_left():
    """A command logs to the stderr of its test, which is closed afterwards."""
    yield
    logging.getLogger("skiploop").handlers.clear()
