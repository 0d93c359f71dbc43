"""The recipe of the tables of small models: what it takes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RATE_OF_TWO_CORES = 0.2


@pytest.mark.parametrize("table", ["arithmetic", "words", "slow"])
def test_a_table_is_estimated_at_less_than_an_hour_on_two_cores(table, tmp_path):
    asked = ["--estimate", "--json", "--rate", RATE_OF_TWO_CORES]
    binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", ROOT / "recipes/compare.sh", table, tmp_path / "run", *map(str, asked)],
        env={**os.environ, "PATH": binaries, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout[done.stdout.index("\n{") :])["hours"] < 1
