import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from skiploop.errors import ConfigError, GraderError
from skiploop.graders import GraderPool, Job, shared_pool

HOSTILE = Path(__file__).parents[1] / "data" / "hostile"


@pytest.fixture(autouse=True)
def hostile_graders(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(HOSTILE))


def job(function, text="5", gold="5"):
    return Job(f"hostile_graders:{function}", (text, gold))


def run(*jobs, **limits):
    with GraderPool(**{"n_workers": 1, "time_limit_s": 20, **limits}) as pool:
        return pool.grade_many(jobs)


def test_verdicts_come_back_in_order():
    jobs = [job("equal", str(i), "7") for i in range(40)]
    grades = run(*jobs, n_workers=2)
    assert [grade.correct for grade in grades] == [i == 7 for i in range(40)]
    assert [grade.answer for grade in grades] == [str(i) for i in range(40)]


def test_any_text_survives_the_way_to_the_process_and_back():
    text = 'a\nb\x00"\\ \N{MINUS SIGN} \ud800'
    assert run(job("equal", text, text))[0].answer == text


@pytest.mark.parametrize("function", ["hang", "compute_forever"])
def test_an_answer_over_time_is_ungraded_and_the_others_are_graded(function):
    start = time.monotonic()
    grades = run(job("equal"), job(function), job("equal"), time_limit_s=0.5)
    assert [grade.correct for grade in grades] == [True, None, True]
    assert grades[1].reason == "over 0.5 s"
    assert time.monotonic() - start < 30


def test_time_in_which_the_processor_does_other_things_is_not_counted():
    assert [grade.correct for grade in run(job("wait"), job("wait"), time_limit_s=0.5)] == [
        True
    ] * 2


@pytest.mark.skipif(sys.platform != "linux", reason="needs an address-space limit")
def test_an_answer_over_memory_is_ungraded():
    grades = run(job("take_memory"), job("equal"), memory_limit_bytes=2**30)
    assert [grade.correct for grade in grades] == [None, True]
    assert grades[0].reason == "over 1 GiB of memory"


def test_a_crash_is_ungraded():
    grades = run(job("crash"), job("equal"))
    assert [grade.correct for grade in grades] == [None, True]
    assert grades[0].reason == "the grading process ended with code 3"


def test_an_exception_is_ungraded_and_keeps_the_process():
    with GraderPool(n_workers=1) as pool:
        (grade,) = pool.grade_many([job("fail")])
        before = pool.process_ids()
        pool.grade_many([job("equal")])
        assert pool.process_ids() == before
    assert grade.correct is None
    assert grade.reason == "ValueError: cannot read '5'"


def test_what_a_grader_prints_is_not_taken_for_a_verdict():
    grades = run(job("print_noise"), job("equal", "1", "2"))
    assert [grade.correct for grade in grades] == [True, False]


def test_grading_processes_import_no_torch():
    assert run(job("loaded_modules"))[0].correct is False


def test_a_process_that_was_killed_from_outside_is_replaced():
    with GraderPool(n_workers=1) as pool:
        pool.grade_many([job("equal")])
        (process_id,) = pool.process_ids()
        os.kill(process_id, signal.SIGKILL)
        assert pool.grade_many([job("equal")])[0].correct is True
        assert pool.process_ids() != [process_id]


def test_a_closed_pool_leaves_no_process_and_can_be_used_again():
    pool = GraderPool(n_workers=2)
    pool.grade_many([job("equal")] * 8)
    pool.close()
    assert pool.process_ids() == []
    assert pool.grade_many([job("equal")])[0].correct is True
    pool.close()
    assert pool.process_ids() == []


def test_a_grader_that_does_not_exist_is_an_error():
    with pytest.raises(GraderError, match="could not load nowhere:grade"):
        run(Job("nowhere:grade", ()))


def test_limits_that_are_not_positive_are_refused():
    with pytest.raises(ConfigError, match="0 processes"):
        GraderPool(n_workers=0)


def test_there_is_one_shared_pool():
    assert shared_pool() is shared_pool()


SCRIPT = """
from skiploop.graders import GraderPool, Job
pool = GraderPool(n_workers=2, time_limit_s={limit})
pool.grade_many([Job("hostile_graders:equal", ("1", "1"))] * 4)
print(*pool.process_ids(), flush=True)
pool.grade_many([Job("hostile_graders:{grader}", ("1", "1"))] * 4)
"""


@contextmanager
def grading_run(grader, limit):
    """Start a run that is busy with an endless answer; yield it and its grading processes."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(grader=grader, limit=limit)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as run:
        process_ids = [int(part) for part in run.stdout.readline().split()]
        assert process_ids
        time.sleep(0.3)
        yield run, process_ids


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("grader", ["hang", "compute_forever"])
def test_ctrl_c_ends_the_run_and_leaves_no_process(grader):
    with grading_run(grader, limit=60) as (run, process_ids):
        os.killpg(run.pid, signal.SIGINT)
        _, errors = run.communicate(timeout=20)
    assert "KeyboardInterrupt" in errors
    assert "GraderError" not in errors
    assert not any(is_running(process_id) for process_id in process_ids)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_run_leaves_no_busy_process_for_long():
    with grading_run("compute_forever", limit=1) as (run, process_ids):
        run.kill()
    deadline = time.monotonic() + 120  # its limit counts processor time
    while any(map(is_running, process_ids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, process_ids))


def is_running(process_id):
    try:
        status = Path(f"/proc/{process_id}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return "State:\tZ" not in status
