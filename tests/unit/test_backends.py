"""Jobs reach workers, and what comes of them comes back, whatever happens to the workers."""

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from skiploop.backends.base import Work
from skiploop.backends.local import LocalBackend
from skiploop.backends.tries import Job
from skiploop.errors import ConfigError, JobsFailedError

HERE = str(Path(__file__).parent)


@pytest.fixture(autouse=True)
def workers_find_their_work(monkeypatch):
    path = os.pathsep.join(filter(None, [HERE, os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)


def local(n_workers=2, **settings):
    return LocalBackend(Work("jobs:factory", {}), n_workers=n_workers, **settings)


def jobs(*asked):
    return [Job(f"job {number}", lambda one=one: one) for number, one in enumerate(asked)]


def said(parts):
    return Counter(part["said"] for part in parts)


def test_every_part_of_every_job_comes_back_once_and_workers_stay():
    with local() as backend:
        assert said(backend.map(jobs(*({"say": [i, -i]} for i in range(1, 30))))) == Counter(
            [*range(1, 30), *range(-29, 0)]
        )
        workers = list(backend._workers.values())
        assert said(backend.map(jobs({"say": ["again"]}))) == {"again": 1}
        assert list(backend._workers.values()) == workers
    assert all(worker.process.poll() is not None for worker in workers)


def test_no_more_workers_start_than_there_are_jobs_and_nothing_is_done_without_jobs():
    with local(n_workers=8) as backend:
        assert not list(backend.map([])) and not backend._workers
        list(backend.map(jobs({}, {})))
        assert len(backend._workers) == 2


def test_the_job_of_a_killed_worker_goes_to_another_and_asks_only_for_the_rest(tmp_path, caplog):
    told = []

    def rest():
        return {"say": [i for i in range(3) if i not in told], "end": "kill", "once": str(once)}

    once = tmp_path / "once"
    with local() as backend:
        for part in backend.map([Job("killed", rest), *jobs({"say": ["other"]})]):
            told.append(part["said"])
    assert Counter(told) == {0: 1, 1: 1, 2: 1, "other": 1}
    assert "was killed by signal 9" in caplog.text


def test_a_job_that_kills_every_worker_is_listed_as_failed_and_the_rest_is_done():
    with (
        local(max_retries=1) as backend,
        pytest.raises(JobsFailedError, match=r"1 of 9 jobs failed.*job 0: .*signal 9.* 2 tries"),
    ):
        found = []
        asked = jobs({"end": "kill"}, *({"say": [i]} for i in range(8)))
        for part in backend.map(asked):
            found.append(part["said"])
    assert sorted(found) == list(range(8))


def test_an_error_in_a_job_is_told_in_one_line_and_not_tried_again():
    with local(n_workers=1) as backend:
        with pytest.raises(JobsFailedError, match="job 0: ValueError: no such question; run"):
            list(backend.map(jobs({"end": "raise"}, {"say": [1]})))
        assert said(backend.map(jobs({"say": [2]}))) == {2: 1}


def test_workers_that_cannot_start_end_the_call_with_their_reason():
    with (
        LocalBackend(Work("jobs:nothing", {}), n_workers=2, max_retries=0) as backend,
        pytest.raises(JobsFailedError, match=r"2 of 2 jobs failed.*ended with code 1"),
    ):
        list(backend.map(jobs({}, {})))


def test_what_a_worker_logs_is_logged_here(caplog):
    with local(n_workers=1) as backend:
        list(backend.map(jobs({"log": "out of memory"})))
    assert "a worker says: out of memory" in caplog.text


def test_a_call_that_is_left_ends_the_workers_that_are_busy_for_it():
    with local(n_workers=2) as backend:
        for _ in backend.map(jobs({"say": [1], "sleep": 60}, {"say": [2], "sleep": 60})):
            break
        started = time.monotonic()
        assert said(backend.map(jobs({"say": [3]}))) == {3: 1}
    assert time.monotonic() - started < 50


def test_workers_end_with_the_process_that_started_them(tmp_path):
    code = (
        "import os, signal\n"
        "from skiploop.backends.base import Work\n"
        "from skiploop.backends.local import LocalBackend\n"
        "from skiploop.backends.tries import Job\n"
        "backend = LocalBackend(Work('jobs:factory', {}), n_workers=1)\n"
        "for _ in backend.map([Job('long', lambda: {'say': [1], 'sleep': 600})]):\n"
        "    print(backend._workers[0].process.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    process = Path(f"/proc/{int(done.stdout)}")
    deadline = time.monotonic() + 60
    while process.exists() and "Z" not in process.joinpath("stat").read_text().split()[2]:
        assert time.monotonic() < deadline, "it lives on"
        time.sleep(0.1)


@pytest.mark.parametrize("numbers", [{"n_workers": 0}, {"max_retries": -1}])
def test_numbers_that_make_no_sense_are_refused(numbers):
    with pytest.raises(ConfigError, match="give at least 1 worker"):
        local(**numbers)
