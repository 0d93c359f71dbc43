"""Every causal language model that transformers registers is right, or refused by name."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

SWEEP = Path(__file__).parents[2] / "benchmarks" / "families.py"
AT_LEAST_RIGHT = 171  # of 189 with transformers 5.23


def test_no_family_is_wrong_or_ends_in_an_error_of_another_library():
    run = subprocess.run([sys.executable, SWEEP], capture_output=True, text=True, check=True)
    counts = json.loads(run.stdout.splitlines()[-1])
    print(counts)  # noqa: T201  the counts are what it is run for
    assert (counts["wrong"], counts["raw"]) == (0, 0), run.stdout
    assert counts["right"] >= AT_LEAST_RIGHT, run.stdout
