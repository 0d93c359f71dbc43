"""Actors of Ray give what one process gives, and one that dies costs nothing but time."""

import os
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from families import build, tokenizer

from skiploop.backends.base import Work
from skiploop.backends.tries import Job
from skiploop.cli.main import main
from skiploop.errors import BackendError, JobsFailedError

ray_backend = pytest.importorskip("skiploop.backends.ray", exc_type=ImportError)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),  # of Ray
]

HELPERS = str(Path(__file__).parents[1] / "unit")
QUERIES = (
    "SELECT example_id, program, correct, answer FROM trials ORDER BY 1, 2",
    "SELECT * FROM asks ORDER BY source, example_id, step",
)


def rows(folder, query):
    with closing(sqlite3.connect(Path(folder) / "trials.sqlite")) as store:
        return store.execute(query).fetchall()


def test_a_search_by_actors_is_that_of_one_process(tmp_path):
    model, out = tmp_path / "model", tmp_path / "run"
    build("llama").save_pretrained(model)
    tokenizer().save_pretrained(model)
    search = ["search", "--model", str(model), "--level", "2", "--limit", "12", "--budget", "6"]
    assert main([*search, "--backend", "ray", "--workers", "2", "--out", str(out)]) == 0
    assert main([*search, "--out", str(tmp_path / "alone")]) == 0
    for query in QUERIES:
        assert rows(out, query) == rows(tmp_path / "alone", query)


def test_the_job_of_an_actor_that_dies_goes_to_another_until_there_were_enough(
    tmp_path, monkeypatch
):
    path = os.pathsep.join(filter(None, [HELPERS, os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
    once = {"say": [1], "end": "kill", "once": str(tmp_path / "once")}
    asked = [once, *({"say": [i]} for i in range(2, 8)), {"end": "kill"}]
    jobs = [Job(f"job {i}", lambda one=one: one) for i, one in enumerate(asked)]
    said = Counter()
    with (
        ray_backend.RayBackend(Work("jobs:factory", {}), n_workers=2, max_retries=1) as backend,
        pytest.raises(JobsFailedError, match=r"1 of 8 jobs failed.*job 7: .*2 tries"),
    ):
        for part in backend.map(jobs):
            said[part["said"]] += 1
    assert set(said) == set(range(1, 8)) and said[1] == 2


def test_a_cluster_that_is_not_there_is_named():
    with pytest.raises(BackendError, match=r"joined at 127\.0\.0\.1:1.*ray status"):
        ray_backend.RayBackend(Work("jobs:factory", {}), address="127.0.0.1:1")
