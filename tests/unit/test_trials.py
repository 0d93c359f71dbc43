import subprocess
import sys
from dataclasses import replace

import pytest

from skiploop.errors import RunError
from skiploop.search.trials import Trial, TrialStore


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
    begun = replace(trial(correct=False), stopped_by="settled")
    store.add([begun])
    store.add([replace(trial(correct=True), stopped_by="stop", gold_logprob=-1.5)])
    store.add([trial(correct=False)])
    expected = replace(trial(correct=True), gold_logprob=-1.5)
    assert store.get([("q1", "identity")]) == {("q1", "identity"): expected}


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
from skiploop.search.trials import Trial, TrialStore
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
