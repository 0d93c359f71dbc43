"""Actors of Ray give what one process gives, and one that dies costs nothing but time.

Ray runs in processes of its own here: what it leaves to the end of a process would end the tests.
"""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from families import build, tokenizer

from skiploop.cli.main import main

pytest.importorskip("ray")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

HELPERS = str(Path(__file__).parents[1] / "unit")
QUERIES = (
    "SELECT example_id, program, correct, answer FROM trials ORDER BY 1, 2",
    "SELECT * FROM asks ORDER BY source, example_id, step",
)
DYING = """
import json, sys
from skiploop.backends.base import Work
from skiploop.backends.ray import RayBackend
from skiploop.backends.tries import Job
from skiploop.errors import JobsFailedError

once = {"say": [1], "end": "kill", "once": sys.argv[1]}
asked = [once, *({"say": [i]} for i in range(2, 8)), {"end": "kill"}]
jobs = [Job(f"job {i}", lambda one=one: one) for i, one in enumerate(asked)]
said = []
with RayBackend(Work("jobs:factory", {}), n_workers=2, max_retries=1) as backend:
    try:
        for part in backend.map(jobs):
            said.append(part["said"])
    except JobsFailedError as error:
        print(json.dumps([said, str(error)]))
"""
ABSENT = """
from skiploop.backends.base import Work
from skiploop.backends.ray import RayBackend
from skiploop.errors import BackendError

try:
    RayBackend(Work("jobs:factory", {}), address="127.0.0.1:1")
except BackendError as error:
    print(error)
"""


def python(*arguments):
    path = os.pathsep.join(filter(None, [HELPERS, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr  # Ray gives itself 30 s to start
    return done.stdout


def rows(folder, query):
    with closing(sqlite3.connect(folder / "trials.sqlite")) as store:
        return store.execute(query).fetchall()


def test_a_search_by_actors_is_that_of_one_process(tmp_path):
    model = tmp_path / "model"
    build("llama").save_pretrained(model)
    tokenizer().save_pretrained(model)
    search = ["search", "--model", str(model), "--level", "2", "--limit", "12", "--budget", "6"]
    actors = ["--backend", "ray", "--workers", "2", "--out", str(tmp_path / "actors")]
    python("-m", "skiploop", *search, *actors)
    assert main([*search, "--out", str(tmp_path / "alone")]) == 0
    for query in QUERIES:
        assert rows(tmp_path / "actors", query) == rows(tmp_path / "alone", query)


def test_the_job_of_an_actor_that_dies_goes_to_another_until_there_were_enough(tmp_path):
    printed = python("-c", DYING, str(tmp_path / "once")).splitlines()
    (found,) = [line for line in printed if line.startswith("[[")]  # Ray tells of the death, too
    said, error = json.loads(found)
    assert sorted(said) in ([1, 1, *range(2, 8)], [*range(1, 8)])
    assert "1 of 8 jobs failed" in error and "job 7: " in error and "2 tries" in error


def test_a_cluster_that_is_not_there_is_named_at_once():
    said = python("-c", ABSENT)
    assert "could not be joined at 127.0.0.1:1" in said and "ray status" in said
