import json
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("skiploop", derandomize=True, deadline=None)
settings.load_profile("skiploop")


@pytest.fixture(scope="session")
def conformance():
    path = Path(__file__).parent / "data" / "conformance.json"
    return json.loads(path.read_text())
