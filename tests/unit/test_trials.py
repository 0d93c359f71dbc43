import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest

from skiploop.errors import RunError
from skiploop.trials.store import Trial, TrialStore


def trial(example_id="q1", program="identity", correct=True):
    return Trial(example_id, program, correct, " 7", "7", "", 2, -0.25, "stop", 8, 9, "float32")


def test_trials_come_back_as_they_were_written(tmp_path):
    store = TrialStore(tmp_path / "trials.sqlite")
    trials = [trial(), trial("q2", correct=None), trial("q2", "3:5x0", correct=False)]
    store.add(trials)
    again = TrialStore(tmp_path / "trials.sqlite")
    found = again.get([("q1", "identity"), ("q2", "identity"), ("q2", "3:5x0"), ("q3", "x")])
    assert list(found.values()) == trials
    assert len(again) == 3


def test_a_recorded_trial_is_never_overwritten(tmp_path):
    store = TrialStore(tmp_path / "trials.sqlite")
    store.add([trial(correct=True)])
    store.add([trial(correct=False)])
    assert store.get([("q1", "identity")])["q1", "identity"].correct is True


def test_a_score_of_the_right_answer_is_added_to_a_known_trial_and_kept(tmp_path):
    store = TrialStore(tmp_path / "trials.sqlite")
    begun = replace(trial(correct=False), stopped_by="decided")
    store.add([begun])
    store.add([replace(trial(correct=True), stopped_by="stop", gold_logprob=-1.5)])
    store.add([trial(correct=False)])
    expected = replace(trial(correct=True), gold_logprob=-1.5)
    assert store.get([("q1", "identity")]) == {("q1", "identity"): expected}


def test_a_beginning_of_an_older_version_is_read_as_one_and_gives_way(tmp_path):
    store = TrialStore(tmp_path / "trials.sqlite")
    store.add([replace(trial(correct=False), stopped_by="settled")])
    assert store.get([("q1", "identity")])["q1", "identity"].stopped_by == "decided"
    store.verify()
    store.add([trial(correct=True)])
    assert store.get([("q1", "identity")]) == {("q1", "identity"): trial(correct=True)}


def test_asks_keep_their_order_and_leave_out_what_was_not_evaluated(tmp_path):
    store = TrialStore(tmp_path / "trials.sqlite")
    store.add([trial("q1", "identity"), trial("q1", "1:2x0"), trial("q1", "0:1x2")])
    asks = [("q1", 2, "1:2x0"), ("q1", 0, "identity"), ("q1", 1, "0:1x2"), ("q1", 3, "5:6x0")]
    store.add_asks("search", asks)
    assert [t.program for t in store.asked("search")["q1"]] == ["identity", "0:1x2", "1:2x0"]
    assert store.asked("random") == {}


def test_what_was_added_survives_a_killed_process(tmp_path):
    code = f"""
import os
from pathlib import Path
from skiploop.trials.store import Trial, TrialStore
store = TrialStore(Path({str(tmp_path)!r}) / "trials.sqlite")
store.add([Trial("q1", "identity", True, "", "", "", 0, 0.0, "stop", 1, 9, "float32")])
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
    store.add([trial("q1", correct=False), trial("q2", "a long program text")])
    store.add_asks("search", [("q1", 0, "identity")])
    store.verify()
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE trials SET correct = 1 WHERE example_id = 'q1'")
    db.close()
    changed = TrialStore(path)
    changed.verify()
    assert changed.get([("q1", "identity")])[("q1", "identity")].correct is True
    changed.close()
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"a long program text", b"a lonG program text"))
    with pytest.raises(RunError, match=r"1 rows of trials are not as they were .* question 'q2'"):
        TrialStore(path).verify()


def test_a_row_that_gets_more_keeps_a_true_checksum(tmp_path):
    store = TrialStore(tmp_path / "trials.sqlite")
    beginning = replace(trial("q1", "identity"), stopped_by="decided", logprob=-0.0)
    store.add([beginning])
    store.add([replace(trial("q1", "identity"), gold_logprob=-1.5)])
    store.verify()


def test_rows_of_an_older_version_have_no_checksum(tmp_path):
    path = tmp_path / "trials.sqlite"
    store = TrialStore(path)
    store.add([trial("q1", "identity")])
    store.add_asks("search", [("q1", 0, "identity")])
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("DROP TRIGGER changed")
        for table in ("trials", "asks"):
            db.execute(f"ALTER TABLE {table} DROP COLUMN checksum")
    db.close()
    older = TrialStore(path)
    older.verify()
    older.add([trial("q2", "identity")])
    older.verify()
    assert [t.program for t in older.asked("search")["q1"]] == ["identity"]
