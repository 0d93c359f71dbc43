"""Verdicts made with other versions, or on another device, hold or are refused."""

import json
import logging
import sqlite3
from contextlib import closing

import pytest
import torch
import transformers
from families import N_LAYERS, load
from parity import FirstLetterTask
from planted import QUESTIONS

import skiploop
from skiploop import Program
from skiploop.cli.main import main
from skiploop.errors import RunError
from skiploop.runs import pipeline
from skiploop.runs.folder import RunConfig
from skiploop.runs.session import Run
from skiploop.search.campaign import SearchConfig
from skiploop.trials.evaluator import Evaluator

SEARCH = SearchConfig(limit=16, budget=4)
ELSEWHERE = (
    "UPDATE facts SET value = '2.0.0' WHERE name = 'torch'",
    "UPDATE facts SET value = 'Fast One' WHERE name = 'device'",
)
WRONG = "UPDATE trials SET correct = 1 - correct"


@pytest.fixture
def folder(llama_folder, tmp_path):
    """A run with a search."""
    lines = [json.dumps(line) + "\n" for line in json.loads(QUESTIONS.read_text())]
    (tmp_path / "q.jsonl").write_text("".join(lines))
    task = f"jsonl:{tmp_path / 'q.jsonl'}"
    config = RunConfig(model=llama_folder, task=task, options=("shots=0",))
    run = Run.create(tmp_path / "run", config)
    pipeline.search(run, SEARCH)
    run.store.close()
    return tmp_path / "run"


@pytest.fixture
def judged(monkeypatch):
    """How many pairs are judged and not remembered, each time."""
    counts, grade_pairs = [], Evaluator.grade_pairs

    def counted(self, pairs):
        counts.append(len(pairs))
        return grade_pairs(self, pairs)

    monkeypatch.setattr(Evaluator, "grade_pairs", counted)
    return counts


def change(path, *statements):
    with closing(sqlite3.connect(path)) as db, db:
        for statement in statements:
            db.execute(statement)


def noted(folder):
    """Open a run for more work; return what its trials were made with."""
    with closing(Run.open(folder).store) as store:
        return store.facts()


def test_nothing_is_judged_again_where_nothing_changed(folder, judged):
    pipeline.search(Run.open(folder), SEARCH)
    assert judged == []


def test_verdicts_of_other_versions_that_hold_are_judged_again_once(folder, judged, caplog):
    caplog.set_level(logging.INFO, "skiploop")
    change(folder / "trials.sqlite", *ELSEWHERE)
    assert noted(folder) == {
        "skiploop": skiploop.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": "cpu",
        "dtype": "float32",
    }
    noted(folder)
    assert judged == [16]
    assert "judging 16 verdicts again, as they were made with torch 2.0.0 (here" in caplog.text


def test_verdicts_of_other_versions_that_differ_are_refused_by_name(folder, judged, capsys):
    change(folder / "trials.sqlite", *ELSEWHERE, WRONG)
    for _ in range(2):
        assert main(["evaluate", "--run", str(folder)]) == 2
        told = capsys.readouterr().err.splitlines()[-1]
        assert "16 of 16 verdicts that were judged again differ" in told
        assert f"torch 2.0.0 (here {torch.__version__}), device Fast One (here cpu)" in told
        assert "go back to that, or use another --out" in told
    assert judged == [16, 16]


def test_a_run_that_does_not_say_what_it_was_made_with_is_judged_again_once(folder, judged):
    change(folder / "trials.sqlite", "DELETE FROM facts")
    noted(folder)
    noted(folder)
    assert judged == [16]
    change(folder / "trials.sqlite", "DELETE FROM facts", WRONG)
    with pytest.raises(RunError, match="made with skiploop unknown"):
        noted(folder)


def test_a_table_whose_verdicts_do_not_hold_is_refused(tmp_path, judged):
    stack, task, path = load("llama"), FirstLetterTask(), tmp_path / "grid.sqlite"
    programs = [Program.identity(N_LAYERS), Program.parse("1:2x0", N_LAYERS)]
    examples = task.examples("train", 10)

    def table():
        return skiploop.score_grid(stack, task, examples, programs, path=path)

    before = table()
    change(path, *ELSEWHERE)
    assert (table() == before).all()
    change(path, *ELSEWHERE, WRONG)
    with pytest.raises(RunError, match="go back to that, or use another file"):
        table()
    assert len(judged) == 2
