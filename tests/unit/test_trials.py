import sqlite3
import subprocess
import sys
from dataclasses import fields, replace

import pytest

from skiploop import Program
from skiploop.errors import RunError
from skiploop.trials.schema import COVERED, VERSION
from skiploop.trials.store import Trial, TrialStore

N_LAYERS = 12
IDENTITY, SKIP, LOOP = (Program.parse(text, N_LAYERS) for text in ("identity", "1:2x0", "0:1x2"))


def trial(example_id="q1", program="identity", correct=True):
    program = Program.parse(program, N_LAYERS)
    return Trial(example_id, program, correct, " 7", "7", "", 2, -0.25, "stop", 8, 9, "float32")


def test_trials_come_back_as_they_were_written(tmp_path):
    store = TrialStore(tmp_path / "trials.sqlite")
    trials = [trial(), trial("q2", correct=None), trial("q2", "3:5x0", correct=False)]
    store.add(trials)
    again = TrialStore(tmp_path / "trials.sqlite")
    found = again.get(
        [("q1", IDENTITY), ("q2", IDENTITY), ("q2", Program.parse("3:5x0", N_LAYERS)), ("q3", SKIP)]
    )
    assert list(found.values()) == trials
    assert len(again) == 3


def test_a_recorded_trial_is_never_overwritten(tmp_path):
    store = TrialStore(tmp_path / "trials.sqlite")
    store.add([trial(correct=True)])
    store.add([trial(correct=False)])
    assert store.get([("q1", IDENTITY)])["q1", IDENTITY].correct is True


def test_a_score_of_the_right_answer_is_added_to_a_known_trial_and_kept(tmp_path):
    store = TrialStore(tmp_path / "trials.sqlite")
    begun = replace(trial(correct=False), stopped_by="decided")
    store.add([begun])
    store.add([replace(trial(correct=True), stopped_by="stop", gold_logprob=-1.5)])
    store.add([trial(correct=False)])
    expected = replace(trial(correct=True), gold_logprob=-1.5)
    assert store.get([("q1", IDENTITY)]) == {("q1", IDENTITY): expected}


def test_a_beginning_of_an_older_version_becomes_one_of_this_version_and_gives_way(tmp_path):
    path = tmp_path / "trials.sqlite"
    store = TrialStore(path)
    store.add([replace(trial(name, correct=False), stopped_by="settled") for name in ("q1", "q2")])
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("DROP TRIGGER changed")
        db.execute("UPDATE trials SET checksum = checksum + 1 WHERE example_id = 'q2'")
        db.execute("PRAGMA user_version = 0")
    db.close()
    store = TrialStore(path)
    assert store.get([("q1", IDENTITY)])["q1", IDENTITY].stopped_by == "decided"
    with pytest.raises(RunError, match=r"1 rows of trials are not as they were .* question 'q2'"):
        store.verify()
    store.add([trial("q1", correct=True)])
    assert store.get([("q1", IDENTITY)]) == {("q1", IDENTITY): trial("q1", correct=True)}


def test_asks_keep_their_order_and_leave_out_what_was_not_evaluated(tmp_path):
    store = TrialStore(tmp_path / "trials.sqlite")
    store.add([trial("q1", "identity"), trial("q1", "1:2x0"), trial("q1", "0:1x2")])
    asks = [
        ("q1", 2, SKIP),
        ("q1", 0, IDENTITY),
        ("q1", 1, LOOP),
        ("q1", 3, Program.parse("5:6x0", 12)),
    ]
    store.add_asks("search", asks)
    assert [t.program for t in store.asked("search", N_LAYERS)["q1"]] == [IDENTITY, LOOP, SKIP]
    assert store.asked("random", N_LAYERS) == {}


def test_what_was_added_survives_a_killed_process(tmp_path):
    code = f"""
import os
from pathlib import Path
from skiploop import Program
from skiploop.trials.store import Trial, TrialStore
store = TrialStore(Path({str(tmp_path)!r}) / "trials.sqlite")
store.add([Trial("q1", Program(9), True, "", "", "", 0, 0.0, "stop", 1, 9, "float32")])
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert len(TrialStore(tmp_path / "trials.sqlite")) == 1


def test_an_unusable_file_is_named_with_what_to_do(tmp_path):
    with pytest.raises(RunError, match=r"cannot use .*missing.* free disk space"):
        TrialStore(tmp_path / "missing" / "trials.sqlite")
    (tmp_path / "trials.sqlite").write_text("this is no database, whatever its name says" * 9)
    with pytest.raises(RunError, match="not a database"):
        TrialStore(tmp_path / "trials.sqlite")


def test_a_damaged_row_is_named_and_a_row_changed_by_hand_is_taken(tmp_path):
    path = tmp_path / "trials.sqlite"
    store = TrialStore(path)
    store.add([trial("q1", correct=False), trial("q2", "1:2x0 3:4x2 5:6x0")])
    store.add_asks("search", [("q1", 0, IDENTITY)])
    store.verify()
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE trials SET correct = 1 WHERE example_id = 'q1'")
    db.close()
    changed = TrialStore(path)
    changed.verify()
    assert changed.get([("q1", IDENTITY)])["q1", IDENTITY].correct is True
    changed.close()
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"1:2x0 3:4x2 5:6x0", b"1:2x0 3:4x9 5:6x0"))
    with pytest.raises(RunError, match=r"1 rows of trials are not as they were .* question 'q2'"):
        TrialStore(path).verify()


def test_a_row_that_gets_more_keeps_a_true_checksum(tmp_path):
    store = TrialStore(tmp_path / "trials.sqlite")
    beginning = replace(trial("q1", "identity"), stopped_by="decided", logprob=-0.0)
    store.add([beginning])
    store.add([replace(trial("q1", "identity"), gold_logprob=-1.5)])
    store.verify()


def test_a_file_of_an_older_version_is_upgraded_and_its_rows_have_no_checksum(tmp_path):
    path = tmp_path / "trials.sqlite"
    store = TrialStore(path)
    store.add([trial("q1", "identity")])
    store.add_asks("search", [("q1", 0, IDENTITY)])
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("DROP TRIGGER changed")
        for table in ("trials", "asks"):
            db.execute(f"ALTER TABLE {table} DROP COLUMN checksum")
        db.execute("PRAGMA user_version = 0")
    db.close()
    older = TrialStore(path)
    older.verify()
    older.add([trial("q2", "identity")])
    older.verify()
    assert [t.program for t in older.asked("search", N_LAYERS)["q1"]] == [IDENTITY]


def test_the_columns_of_the_schema_are_the_fields_of_a_trial():
    assert COVERED["trials"].split(", ") == [field.name for field in fields(Trial)]


def test_a_file_of_a_newer_version_is_refused_by_name(tmp_path):
    path = tmp_path / "trials.sqlite"
    TrialStore(path).close()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    with pytest.raises(
        RunError, match=f"trials.sqlite has schema {VERSION + 1}, .* use the version"
    ):
        TrialStore(path)


def test_a_text_that_is_no_program_of_the_model_is_named(tmp_path):
    store = TrialStore(tmp_path / "trials.sqlite")
    store.add([trial("q1", "5:6x0")])
    store.add_asks("search", [("q1", 0, Program.parse("5:6x0", N_LAYERS))])
    with pytest.raises(RunError, match=r"trials.sqlite: edit 5:6x0 ends after layer 3"):
        store.asked("search", 4)
