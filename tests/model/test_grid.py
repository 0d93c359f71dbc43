"""The dense table of questions and programs."""

import pytest
from families import N_LAYERS, load
from parity import FirstLetterTask

import skiploop
from skiploop import Program, ProgramSpace
from skiploop.errors import RunError

SPACE = ProgramSpace(N_LAYERS)
PROGRAMS = [Program(N_LAYERS, (e,)) for e in SPACE.edits(Program.identity(N_LAYERS))][::3]


def test_every_node_is_the_verdict_of_its_pair_alone():
    stack, task = load("llama"), FirstLetterTask()
    examples = task.examples("train", 5)
    table = skiploop.score_grid(stack, task, examples, PROGRAMS)
    assert table.shape == (5, len(PROGRAMS))
    for example, row in zip(examples, table, strict=True):
        for program, verdict in zip(PROGRAMS, row, strict=True):
            (alone,) = stack.generate(
                [task.prompt(example)], program, max_new_tokens=4, stop=task.stop
            )
            assert verdict is task.grade(example, alone.text).correct


def test_an_interrupted_table_goes_on_and_a_larger_one_runs_what_is_new(tmp_path):
    stack, task = load("llama"), FirstLetterTask()
    examples = task.examples("train", 20)
    expected = skiploop.score_grid(stack, task, examples, PROGRAMS)
    done = []

    def interrupt(trials):
        done.extend(trials)
        raise KeyboardInterrupt

    path = tmp_path / "grid.sqlite"
    with pytest.raises(KeyboardInterrupt):
        skiploop.score_grid(stack, task, examples, PROGRAMS, path=path, progress=interrupt)
    assert 0 < len(done) < expected.size
    new = []
    table = skiploop.score_grid(stack, task, examples, PROGRAMS, path=path, progress=new.extend)
    assert (table == expected).all()
    assert len(new) == expected.size  # those that were known are reported first
    assert {(t.example_id, t.program) for t in new[: len(done)]} == {
        (t.example_id, t.program) for t in done
    }


def test_a_table_of_another_model_or_task_is_refused(tmp_path):
    task = FirstLetterTask()
    examples, path = task.examples("train", 1), tmp_path / "grid.sqlite"
    skiploop.score_grid(load("llama"), task, examples, PROGRAMS[:1], path=path)
    with pytest.raises(RunError, match="holds trials with weights"):
        skiploop.score_grid(load("qwen2"), task, examples, PROGRAMS[:1], path=path)
    task.version = "2"
    with pytest.raises(RunError, match="first-letter version 1, not first-letter version 2"):
        skiploop.score_grid(load("llama"), task, examples, PROGRAMS[:1], path=path)


def test_an_empty_table_runs_nothing():
    assert skiploop.score_grid(load("llama"), FirstLetterTask(), [], PROGRAMS).shape == (
        0,
        len(PROGRAMS),
    )
