"""Hard knocks, and what they do to a run: nothing that was graded is lost, whatever happens.

Run `pytest -m slow -s tests/slow/test_faults.py` to see the table of what was survived.
"""

import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from knocks import (
    ASKS,
    MENU,
    SEARCH,
    asked,
    child,
    damage,
    ended,
    is_running,
    remount,
    rows,
    same,
    small_disk,
    take_recovered,
)

from skiploop.cli.main import main
from skiploop.errors import RunError
from skiploop.runs import pipeline
from skiploop.runs.session import Run
from skiploop.trials.store import TrialStore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

HELPERS = str(Path(__file__).parents[1] / "model")
WITH_WORKERS = ["--workers", "2"]
N_KILLS, N_DAMAGED = 50, 60

survived = []


def note(fault, times, outcome):
    survived.append((fault, times, outcome))


@pytest.fixture(scope="module", autouse=True)
def table():
    """Print what was survived, when all is over."""
    yield
    lines = [f"{fault:<42} {times:>5}  {outcome}" for fault, times, outcome in survived]
    print(f"\n\n{'fault':<42} {'times':>5}  what happened", *lines, sep="\n")  # noqa: T201


@pytest.fixture(scope="module")
def about(tmp_path_factory):
    return asked(tmp_path_factory.mktemp("asked"))


@pytest.fixture(scope="module")
def search(about):
    return ["search", *about, *SEARCH]


@pytest.fixture(scope="module")
def whole(search, tmp_path_factory):
    """A run that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert main([*search, "--out", str(folder)]) == 0
    with closing(sqlite3.connect(folder / "trials.sqlite")) as store:
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so all is in the file that is damaged
    return folder


@pytest.fixture
def hurt(monkeypatch, tmp_path):
    """Gives workers a replica to which something happens."""
    left = tmp_path / "left"
    left.mkdir()
    monkeypatch.setenv("PYTHONPATH", HELPERS)
    monkeypatch.setenv("DEADLY", str(left))

    def change(name, question="", times=0):
        monkeypatch.setattr("skiploop.runs.workers.FACTORY", f"hurt_replicas:{name}")
        monkeypatch.setenv("DEADLY_QUESTION", question)
        for number in range(times):
            (left / str(number)).touch()

    return change


def searched(whole):
    return list(dict.fromkeys(row[0] for row in rows(whole)))


@pytest.fixture(scope="module")
def loaded(whole):
    """The model, loaded before this process is copied: threads that load are not copied."""
    return Run.open(whole).stack


def test_a_driver_that_is_killed_again_and_again(search, whole, loaded, tmp_path, monkeypatch):
    done = tmp_path / "done"
    add = TrialStore.add

    def add_and_tell(self, trials):
        known = self.get((trial.example_id, trial.program) for trial in trials)
        add(self, trials)
        with done.open("a") as file:
            file.writelines(f"{one.example_id} {one.program}\n" for one in trials)
            file.writelines(f"{key} twice\n" for key in known)

    monkeypatch.setattr(TrialStore, "add", add_and_tell)
    rng, n_kills, n_runs = random.Random(0), 0, 0
    while n_kills < N_KILLS:
        n_runs += 1
        folder = tmp_path / str(n_runs)
        done.write_text("")
        while n_kills < N_KILLS:
            n_more = len(done.read_text().splitlines()) + rng.randrange(40)
            process = child([*search, "--out", str(folder)], loaded)
            while is_running(process) and len(done.read_text().splitlines()) < n_more:
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.03))
            os.kill(process, signal.SIGKILL)
            code = ended(process)
            n_kills += code != 0
            if code == 0:
                break
        assert ended(child([*search, "--out", str(folder)], loaded)) == 0
        lines = done.read_text().splitlines()
        assert len(set(lines)) == len(lines) and "twice" not in done.read_text()
        assert same(folder, whole)
        assert pipeline.reporting.read_search_table(Run.open(folder), 6) == (
            pipeline.reporting.read_search_table(Run.open(whole), 6)
        )
    note("kill -9 of the driver", n_kills, f"{n_runs} searches, no trial lost or run twice")


def test_a_worker_that_is_killed(search, whole, tmp_path, hurt, caplog):
    hurt("deadly", searched(whole)[0], times=1)
    assert main([*search, *WITH_WORKERS, "--out", str(tmp_path / "run")]) == 0
    assert "was killed by signal 9" in caplog.text
    assert same(tmp_path / "run", whole)
    note("kill -9 of a worker", 1, "its job went to another, the same table")


def test_a_question_that_kills_every_worker(search, whole, tmp_path, hurt, capsys):
    question, out = searched(whole)[0], str(tmp_path / "run")
    hurt("deadly", question, times=2)
    assert main([*search, *WITH_WORKERS, "--max-retries", "1", "--out", out]) == 3
    last = capsys.readouterr().err.splitlines()[-1]
    assert "1 of 2 jobs failed" in last and question in last and "2 tries" in last
    done = {row[0] for row in rows(out, ASKS.replace("*", "example_id"))}
    assert done < {*searched(whole)} and question not in done
    assert main([*search, "--out", out]) == 0
    assert same(out, whole)
    note("a job that kills every worker", 2, "listed, the rest is done, exit code 3; then made")


def test_a_worker_that_is_out_of_memory(search, whole, tmp_path, hurt, caplog):
    hurt("small")
    assert main([*search, *WITH_WORKERS, "--out", str(tmp_path / "run")]) == 0
    assert "out of memory with" in caplog.text
    assert same(tmp_path / "run", whole)
    note("out of memory in a worker", 1, "half the batch, again and again, the same table")


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk") as is_there:
        if not is_there:
            pytest.skip("needs the right to mount a small disk")
        yield tmp_path / "disk"


def test_a_full_disk_and_one_that_becomes_read_only(search, whole, disk, capsys):
    out = str(disk / "run")
    assert main([*search, "--out", out]) == 2
    assert "free disk space" in capsys.readouterr().err.splitlines()[-1]
    remount(disk, "size=50m")
    n_kept = len(rows(out))
    assert n_kept > 0
    remount(disk, "ro")
    assert main([*search, "--out", out]) == 2
    assert "cannot" in capsys.readouterr().err.splitlines()[-1]
    remount(disk, "rw")
    assert main([*search, "--out", out]) == 0
    assert same(out, whole)
    note("a full disk", 1, f"one line, {n_kept} trials kept, then the same table")
    note("a disk that is read only", 1, "one line, nothing changed")


def test_a_second_process_is_told_who_the_first_one_is(search, loaded, tmp_path, capsys):
    out = tmp_path / "run"
    process = child([*search, "--out", str(out)], loaded)
    while not (out / "trials.sqlite").exists():
        time.sleep(0.01)
    assert main([*search, "--out", str(out)]) == 2
    os.kill(process, signal.SIGKILL)
    ended(process)
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"process {process} on {socket.gethostname()} is working in" in line
    note("a second process on the run", 1, "refused, the first one named with its machine")


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c(search, whole, loaded, tmp_path, times):
    out, log = tmp_path / "run", tmp_path / "log"
    process = child([*search, "--out", str(out)], loaded, log)
    while not (out / "config.json").exists() or not Run.open(out).n_trials:
        time.sleep(0.01)
    for _ in range(times):
        os.kill(process, signal.SIGINT)
        time.sleep(0.05)
    assert ended(process) == 130
    said = log.read_text()
    assert "interrupted after" in said and "Traceback" not in said
    if times == 1:
        assert "Ctrl-C again stops now" in said
    assert ended(child([*search, "--out", str(out)], loaded)) == 0
    assert same(out, whole)
    what = "the batch is finished" if times == 1 else "stopped at once"
    note(f"Ctrl-C, {times} times", 1, f"{what}, summarised, then the same table")


def test_a_clock_that_jumps(search, whole, tmp_path, monkeypatch):
    rng = random.Random(0)
    monkeypatch.setattr(time, "time", lambda: rng.uniform(-1e9, 1e10))
    assert main([*search, "--out", str(tmp_path / "run")]) == 0
    assert same(tmp_path / "run", whole)
    note("a clock that jumps by centuries", 1, "the same table")


def test_a_damaged_store_is_told_and_what_is_intact_comes_back(whole, tmp_path, capsys):
    rng, known = random.Random(0), {row[:2]: row for row in rows(whole)}
    n_told, n_back = 0, 0
    for number in range(N_DAMAGED):
        folder = shutil.copytree(whole, tmp_path / str(number))
        damage(folder / "trials.sqlite", rng)
        code = main(["doctor", str(folder), "--json"])
        said = json.loads(capsys.readouterr().out.splitlines()[-1])
        if code == 0:
            assert {row[:2]: row for row in rows(folder)}.items() <= known.items()
            continue
        assert set(said["damaged"]) == {"trials.sqlite"}
        with pytest.raises(RunError, match=r"trials\.sqlite"):
            _ = Run.open(folder).store
        n_told += 1
        take_recovered(folder)
        back = {row[:2]: row for row in rows(folder)}
        assert back.items() <= known.items()
        n_back += len(back)
    share = n_back / (n_told * len(known))
    note("a store cut off or with flipped bits", N_DAMAGED, f"{n_told} told, {share:.0%} recovered")
    assert n_told > N_DAMAGED // 2 and share > 0.5


def test_what_was_recovered_is_completed_by_the_same_command(search, whole, tmp_path, capsys):
    folder = shutil.copytree(whole, tmp_path / "run")
    content = bytearray((folder / "trials.sqlite").read_bytes())
    third = len(content) // 3  # trials are in it, wherever indices stand
    content[third : 2 * third] = bytes(third)
    (folder / "trials.sqlite").write_bytes(content)
    assert main([*search, "--out", str(folder)]) == 2
    assert main(["doctor", str(folder)]) == 2
    assert "trials are intact" in capsys.readouterr().out
    take_recovered(folder)
    assert 0 < len(rows(folder)) < len(rows(whole))
    assert main([*search, "--out", str(folder)]) == 0
    assert same(folder, whole)
    note("a third of the store is lost", 1, "recovered to a new file, completed, the same table")


def test_damaged_settings_and_checkpoints_are_named(about, tmp_path, capsys):
    run = tmp_path / "run"
    command = ["menu", "build", *about, *MENU, "--out", str(run)]
    assert main(command) == 0
    assert main(["train", "--method", "selector", "--run", str(run)]) == 0
    rng, n_told, n_cases = random.Random(0), 0, 0
    files = [path for path in run.rglob("*") if path.suffix in (".json", ".safetensors")]
    capsys.readouterr()
    for path in files:
        whole = path.read_bytes()
        for _ in range(5):
            n_cases += 1
            damage(path, rng)
            code = main(["doctor", str(run), "--json"])
            said = json.loads(capsys.readouterr().out.splitlines()[-1])
            assert code == (2 if said["damaged"] else 0)
            name = str(path.relative_to(run))
            assert set(said["damaged"]) <= {name}
            is_free = path.name == "config.json"  # a person may edit it: it has no checksum
            n_told += name in said["damaged"]
            assert name in said["damaged"] or is_free or harmless(whole, path.read_bytes())
            path.write_bytes(whole)
    note("settings and checkpoints damaged", n_cases, f"{n_told} named, the rest changes nothing")


def harmless(before, after):
    """Whether damage is of what nobody reads, such as spaces between values."""
    try:
        return json.loads(before) == json.loads(after)
    except ValueError:
        return False
