"""Methods with routers in a run: what they learn from, what is kept, what is refused."""

import shutil
from pathlib import Path

import planted
import pytest

from skiploop.errors import ConfigError, DataError, RunError
from skiploop.runs.methods import recursion, routed
from skiploop.runs.methods.make import make_methods
from skiploop.runs.session import Run

TRAININGS = {
    "drllm": (routed, "train_routers"),
    "mindskip:5.5": (routed, "train_gates"),
    "flexidepth": (routed, "train_skippers"),
    "recursion": (recursion, "train_selector"),
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(routed, "N_LESSONS", 20)
    return Run.open(shutil.copytree(planted.written_run(), tmp_path / "run"))


@pytest.fixture
def searched(run, tmp_path):
    """Return a run whose search has found right programs."""
    return Run.open(shutil.copytree(planted.finished_run(), tmp_path / "searched"))


def refuse(*_args, **_kwargs):
    raise AssertionError("trained again")


@pytest.mark.parametrize("name", TRAININGS)
def test_what_was_learned_is_read_by_a_second_making(name, searched, monkeypatch):
    (first,) = make_methods([name], searched)
    folder = searched.folder / "methods" / name.replace(":", "-")
    assert any(path.suffix == ".safetensors" for path in folder.rglob("*"))
    assert any(path.suffix == ".json" for path in folder.rglob("*"))
    monkeypatch.setattr(*TRAININGS[name], refuse)
    (again,) = make_methods([name], Run.open(searched.folder))
    examples = searched.task.examples("test", 3)
    answers = [
        [answer.text for (answer, *_) in method.answer(examples, searched.runner())]
        for method in (first, again)
    ]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("name", ["mindskip:5.5", "flexidepth", "flexidepth:4.5"])
def test_executors_write_answers_that_are_graded_and_cost_no_more_than_the_model(name, run):
    (method,) = make_methods([name], run)
    examples = run.task.examples("test", 3)
    for (answer,) in method.answer(examples, run.runner()):
        assert answer.correct in (True, False) and answer.n_tokens > 0
        assert 0 < answer.cost.n_passes <= run.stack.n_layers
        assert answer.cost.kv_bytes > 0


@pytest.mark.parametrize("name", ["mindskip:4", "flexidepth:3"])
def test_a_limit_that_skipping_everything_does_not_keep_is_refused_in_one_line(name, run):
    with pytest.raises(ConfigError, match=f"{name}: layer passes are at least .* allow more"):
        make_methods([name], run)


@pytest.mark.parametrize("name", ["mindskip:5.5", "flexidepth"])
def test_a_task_that_does_not_tell_how_right_answers_are_written_is_refused(name, run, monkeypatch):
    monkeypatch.setattr(run.task, "draft", lambda _example: "")
    with pytest.raises(ConfigError, match=f"{name} learns from right answers"):
        make_methods([name], run)


def test_routers_learn_from_programs_that_were_right(searched):
    labels = routed._labels(routed.Asked("drllm", "", searched, None, None, 1))
    known = {searched.task.prompt(example): example for example in routed.menu_examples(searched)}
    assert labels.keys() <= known.keys()
    pairs = [(known[prompt], program) for prompt, program in labels.items()]
    assert all(trial.correct for trial in searched.runner().answer_pairs(pairs))


def test_without_right_programs_there_is_nothing_to_route(run):
    with pytest.raises(DataError, match="no question has a right program"):
        make_methods(["drllm"], run)


def test_the_recursion_router_chooses_among_all_programs_that_repeat_one_block(searched):
    (method,) = make_methods(["recursion"], searched)
    programs = method.policy.menu.programs
    assert len(programs) == 1 + 6 * 7 // 2 and programs[0].is_identity
    assert all(len(one.edits) == 1 and one.edits[0].runs == 2 for one in programs[1:])


def test_a_few_questions_are_too_few_for_the_recursion_router(searched, monkeypatch):
    monkeypatch.setattr(recursion, "N_ASKED", 49)
    with pytest.raises(DataError, match="49 training questions, too few"):
        make_methods(["recursion"], searched)


def test_released_weights_come_from_the_hub_where_there_is_no_such_folder(run, monkeypatch):
    folder = planted.flexidepth_weights()
    asked = []
    monkeypatch.setattr(routed, "fetch_hub", lambda name: asked.append(name) or Path(folder))
    name = "flexidepth-weights:somebody/routers"
    (fetched,), (local,) = (
        make_methods([one], run) for one in (name, f"flexidepth-weights:{folder}")
    )
    assert asked == ["somebody/routers"] and fetched.fingerprint == local.fingerprint


def test_weights_of_another_model_are_refused(run, tmp_path):
    with pytest.raises(RunError, match="holds routers of the layers"):
        folder = tmp_path / "weights"
        folder.mkdir()
        shutil.copy(run.config.model + "/model.safetensors", folder)
        make_methods([f"flexidepth-weights:{folder}"], run)
