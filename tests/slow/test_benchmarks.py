"""The benchmark at the size that people use runs where there is no GPU, in small."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
GPU = BENCHMARKS / "gpu.py"


def run(*arguments):
    command = [sys.executable, GPU, "--shape", "tiny", "--threads", "1", "--repeats", "1"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


def test_every_measure_runs_on_a_cpu_and_writes_what_the_reference_writes():
    done = run("--profile")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["float32"]["verdicts_differing"] == figures["float32"]["answers_differing"] == 0
    assert figures["float32"]["different_answers"] > figures["float32"]["pairs"] / 2
    assert figures["rows"]["rows_differing"].startswith("0 of")
    assert 0 < figures["table"]["share_of_peak_necessary"] <= figures["table"]["share_of_peak"] < 1
    assert figures["profile"]["rows"]["seconds_by_kind"]["matrix products"] > 0


def test_what_is_not_known_is_refused_in_one_line():
    done = run("--only", "tables")
    assert done.returncode == 1
    assert done.stderr.startswith("--only tables: give some of start,table")


def test_a_server_under_load_gives_what_generate_gives():
    sizes = ["--clients", "4", "--requests", "2", "--tokens", "6", "--peer", "2", "--repeats", "1"]
    command = [sys.executable, BENCHMARKS / "serve.py", "--tiny", "--threads", "1", *sizes]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["programs"] == 4
    assert figures["answers_differing"] == {"peer": "0 of 4", "peer_batch": "0 of 8"}
    assert figures["first_token_s"]["mixed"]["p95"] > 0
