"""What is intact of a damaged file of trials comes back, and nothing else does."""

import sqlite3
from contextlib import closing

import pytest

from skiploop.errors import ConfigError, RunError
from skiploop.programs.space import ProgramSpace
from skiploop.trials.salvage import salvage
from skiploop.trials.store import Trial, TrialStore

PAGE = 4096
PROGRAMS = list(dict.fromkeys(ProgramSpace(8).sample(seed, n_edits=1) for seed in range(40)))
IDS = [f"question {number}" for number in range(100)]
KNOWN = [
    Trial(one, program, None, "text", "7", "", 2, -1.5, "stop", 4, 9, "float32")
    for one in IDS
    for program in PROGRAMS
]
ASKED = [(one, 0, PROGRAMS[0]) for one in IDS]


@pytest.fixture
def path(tmp_path):
    """A file of trials, asks and facts, of a few dozen pages."""
    path = tmp_path / "trials.sqlite"
    with closing(TrialStore(path)) as store:
        store.note("weights", "abc")
        store.add(KNOWN)
        store.add_asks("search", ASKED)
    assert path.stat().st_size > 20 * PAGE
    return path


def overwrite(path, start, content):
    with path.open("r+b") as file:
        file.seek(start)
        file.write(content)


def recovered(path, tmp_path):
    """Return the trials of the new file, which is whole."""
    with pytest.raises(RunError), closing(TrialStore(path)) as store:
        store.verify()
    before = path.read_bytes()
    found = salvage(path, tmp_path / "new.sqlite", IDS)
    assert path.read_bytes() == before
    with closing(TrialStore(tmp_path / "new.sqlite")) as store:
        store.verify()
        trials = store.get((trial.example_id, trial.program) for trial in KNOWN)
        assert found.n_trials == len(store) == len(trials)
        facts = store.note("weights", "lost")
        asks = store.asks()
    assert set(trials.values()) <= set(KNOWN)
    return found, facts, asks


def test_a_lost_page_loses_what_is_on_it_alone(path, tmp_path):
    overwrite(path, path.stat().st_size // 2 // PAGE * PAGE, bytes(PAGE))
    found, facts, asks = recovered(path, tmp_path)
    assert 0.9 * len(KNOWN) < found.n_trials < len(KNOWN)
    assert facts == "abc" and len(asks) == len(ASKED)


def test_a_lost_first_page_loses_nothing(path, tmp_path):
    overwrite(path, 0, bytes(PAGE))
    found, facts, asks = recovered(path, tmp_path)
    assert (found.n_trials, facts, len(asks)) == (len(KNOWN), "abc", len(ASKED))


def test_a_file_that_is_cut_off_keeps_what_is_before_the_cut(path, tmp_path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 2 // 3 + 17)
    found, _, _ = recovered(path, tmp_path)
    assert 0.3 * len(KNOWN) < found.n_trials < len(KNOWN)


def test_a_row_that_is_not_as_it_was_written_is_left_out(path, tmp_path):
    place = path.read_bytes().index(b"stop\x04\x09float32")
    overwrite(path, place, b"stap")
    found, _, _ = recovered(path, tmp_path)
    assert (found.n_trials, found.n_damaged) == (len(KNOWN) - 1, 1)


def test_a_file_that_is_something_else_gives_an_empty_one(tmp_path):
    other = tmp_path / "other.sqlite"
    other.write_bytes(b"no database" * 5000)
    assert salvage(other, tmp_path / "new.sqlite").n_trials == 0
    with closing(sqlite3.connect(tmp_path / "new.sqlite")) as store:
        assert store.execute("SELECT count(*) FROM trials").fetchone() == (0,)


def test_a_file_that_is_there_is_not_overwritten(path):
    with pytest.raises(ConfigError, match="exists already"):
        salvage(path, path)
