"""A run folder keeps what it was made with, and refuses what would mix two things."""

import json
import logging
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from families import build, tokenizer
from tallies import Notes, Raises

import skiploop
from skiploop.errors import ConfigError, ProgramError, RunError
from skiploop.menus.menu import MenuConfig
from skiploop.policies.polar.training import TrainConfig
from skiploop.runs import pipeline
from skiploop.runs.folder import RunConfig
from skiploop.runs.session import Run
from skiploop.search.campaign import SearchConfig
from skiploop.trials.store import TrialStore

CONFIG = SearchConfig(limit=6, budget=3)


def write_questions(path, answers):
    lines = [{"question": f"question {i}?", "answer": answers} for i in range(60)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def config(llama_folder, tmp_path):
    questions = tmp_path / "q.jsonl"
    write_questions(questions, "yes")
    return RunConfig(model=llama_folder, task=f"jsonl:{questions}", options=("shots=0",))


def test_a_run_goes_through_all_stages_and_says_when_nothing_can_be_learned(config, tmp_path):
    run = Run.create(tmp_path / "run", config)
    table = pipeline.search(run, CONFIG)
    assert table.base.total == 6 and table.n_evaluations == 6 * 4
    with pytest.raises(skiploop.SkiploopError, match="larger --budget"):
        pipeline.train(run, TrainConfig(epochs=1))  # a random model answers nothing
    n_test = len(run.task.examples("test"))
    report = pipeline.evaluate(run, pipeline.EvaluateConfig(policies=("random",), k=2))
    assert report.policies[0].n_examples == n_test  # fewer than the limit
    assert [row.policy for row in report.policies] == ["identity", "random"]
    assert {p.name for p in run.folder.glob("report*")} == {"report.json", "report.md", "report"}


def test_changed_questions_are_refused(config, tmp_path):
    pipeline.search(Run.create(tmp_path / "run", config), CONFIG)
    write_questions(tmp_path / "q.jsonl", "no")
    with pytest.raises(RunError, match="was made with the questions of"):
        pipeline.search(Run.create(tmp_path / "run", config), CONFIG)


def test_changed_weights_are_refused(config, tmp_path):
    pipeline.search(Run.create(tmp_path / "run", config), CONFIG)
    other = tmp_path / "other"
    build("llama").bfloat16().float().save_pretrained(other)
    tokenizer().save_pretrained(other)
    run = Run.open(tmp_path / "run")
    assert run.stack.model_id  # rounding to bfloat16 does not change the identity
    model = build("llama")
    model.model.layers[0].mlp.up_proj.weight.data *= 2
    model.save_pretrained(config.model)
    with pytest.raises(RunError, match="was made with weights"):
        _ = Run.open(tmp_path / "run").stack
    build("llama").save_pretrained(config.model)


def warnings(caplog):
    """Return what was logged and is no news of what goes on."""
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


def test_a_changed_configuration_is_refused_and_an_older_run_is_told_apart(
    config, tmp_path, caplog
):
    pipeline.search(Run.create(tmp_path / "run", config), CONFIG)
    settings, path = Path(config.model) / "config.json", tmp_path / "run" / "config.json"
    before = settings.read_text()
    settings.write_text(json.dumps({**json.loads(before), "rms_norm_eps": 0.1}))
    with pytest.raises(
        RunError, match=r"was made with configuration \w+, but .* use another --out"
    ):
        _ = Run.open(tmp_path / "run").stack
    settings.write_text(before)
    assert not warnings(caplog)
    stored = json.loads(path.read_text())
    stored["run"]["weights"] = stored["run"]["weights"].split("-")[0]
    path.write_text(json.dumps(stored))
    pipeline.search(Run.create(tmp_path / "run", config), CONFIG)
    (warning,) = warnings(caplog)
    assert "was made with weights" in warning


def test_other_settings_are_refused_by_name_and_a_mistake_occupies_no_folder(config, tmp_path):
    with pytest.raises(ConfigError, match="asked for 1000"):
        pipeline.search(Run.create(tmp_path / "run", config), SearchConfig(limit=1000, budget=3))
    pipeline.search(Run.create(tmp_path / "run", config), CONFIG)
    with pytest.raises(RunError, match="budget: 3 in the run, 4 asked"):
        pipeline.search(Run.create(tmp_path / "run", config), SearchConfig(limit=6, budget=4))
    with pytest.raises(RunError, match="seed: 0 in the run, 1 asked"):
        Run.create(tmp_path / "run", replace(config, seed=1))


def test_a_folder_from_before_a_setting_existed_has_its_default(config, tmp_path):
    pipeline.search(Run.create(tmp_path / "run", config), CONFIG)
    path = tmp_path / "run" / "config.json"
    stored = json.loads(path.read_text())
    del stored["search"]["max_block"]
    path.write_text(json.dumps(stored))
    pipeline.search(Run.create(tmp_path / "run", config), CONFIG)
    with pytest.raises(RunError, match="max_block: 4 in the run, 3 asked"):
        pipeline.search(Run.create(tmp_path / "run", config), replace(CONFIG, max_block=3))


def test_nothing_is_trained_or_judged_before_the_search_is_finished(config, tmp_path):
    run = Run.create(tmp_path / "run", config)
    with pytest.raises(KeyboardInterrupt):
        pipeline.search(run, CONFIG, Raises(KeyboardInterrupt))
    assert len(TrialStore(tmp_path / "run" / "trials.sqlite")) == 6
    for stage, settings in (
        (pipeline.train, TrainConfig()),
        (pipeline.evaluate, pipeline.EvaluateConfig()),
    ):
        with pytest.raises(RunError, match=r"search in .* is not finished"):
            stage(Run.open(tmp_path / "run"), settings)


def test_policies_are_not_judged_on_the_questions_that_were_searched(config, tmp_path):
    run = Run.create(tmp_path / "run", config)
    pipeline.search(run, CONFIG)
    with pytest.raises(ConfigError, match="learned from the 'train' questions"):
        pipeline.evaluate(run, pipeline.EvaluateConfig(split="train", limit=4))


@pytest.mark.parametrize(
    "make",
    [
        lambda: SearchConfig(budget=0),
        lambda: SearchConfig(limit=-1),
        lambda: SearchConfig(max_block=0),
        lambda: SearchConfig(exploration=-1.0),
        lambda: SearchConfig(random_share=2.0),
        lambda: pipeline.EvaluateConfig(k=0),
        lambda: pipeline.EvaluateConfig(limit=0),
    ],
)
def test_settings_out_of_range_are_refused(make):
    with pytest.raises(ConfigError, match="give"):
        make()


@pytest.mark.parametrize("text", ["[1]", "{", "null"])
def test_a_damaged_config_is_one_clear_error(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(RunError):
        Run.open(tmp_path)


def test_a_device_that_is_not_there_is_refused_before_the_weights_are_loaded(tmp_path):
    with pytest.raises(ConfigError, match="cannot use device cuda:7"):
        skiploop.load(str(tmp_path), device="cuda:7")


def test_two_processes_do_not_work_in_one_run(config, tmp_path):
    pipeline.search(Run.create(tmp_path / "run", config), CONFIG)
    run = Run.open(tmp_path / "run")
    assert len(run.store) > 0  # holds the lock of the run
    code = (
        "import sys; from pathlib import Path; from skiploop.runs.session import Run\n"
        "Run.open(Path(sys.argv[1])).store"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    line = done.stderr.splitlines()[-1]
    assert f"process {os.getpid()} on {socket.gethostname()} is working in" in line


def test_a_folder_that_cannot_be_written_is_told_before_the_model_is_loaded(
    config, tmp_path, monkeypatch
):
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    with pytest.raises(RunError, match="cannot write in the run folder"):
        Run.create(tmp_path / "run", config)


def test_a_lock_that_cannot_be_taken_is_one_clear_error(tmp_path):
    (tmp_path / "config.json").write_text('{"run": {}}')
    (tmp_path / ".lock").mkdir()
    with pytest.raises(RunError, match="cannot write in the run folder"):
        _ = Run.open(tmp_path).store


def test_stored_trials_can_be_counted_while_the_run_is_open(config, tmp_path):
    run = Run.create(tmp_path / "run", config)
    assert run.n_trials == 0
    pipeline.search(run, CONFIG)
    assert Run.open(run.folder).n_trials == run.n_trials == len(run.store)


def test_a_limit_that_nobody_gave_takes_what_there_is_and_says_so(config, tmp_path, caplog):
    caplog.set_level("INFO", "skiploop")
    run = Run.create(tmp_path / "run", config)
    n_questions, told = len(run.task.examples("train")), Notes()
    pipeline.search(run, SearchConfig(budget=1), told)
    assert run.section("search", SearchConfig).limit == n_questions < 60
    assert told.n_expected == n_questions * 3
    pipeline.search(run, SearchConfig(budget=1))  # the same command goes on
    assert f"all {n_questions} questions in 'train' are taken" in caplog.text
    n_held_out = len(run.task.examples("test"))
    report = pipeline.evaluate(run, pipeline.EvaluateConfig(policies=("random",), k=1))
    assert report.policies[0].accuracy.total == n_held_out < 60
    assert f"all {n_held_out} questions in 'test' are taken" in caplog.text


def test_a_limit_that_somebody_gave_is_refused_where_there_are_fewer(config, tmp_path):
    run = Run.create(tmp_path / "run", config)
    with pytest.raises(ConfigError, match="questions in 'train', asked for 100: lower the limit"):
        pipeline.search(run, SearchConfig(limit=100))
    with pytest.raises(ConfigError, match="questions in 'train', asked for 100: lower the limit"):
        pipeline.menu(run, MenuConfig(limit=100))
    with pytest.raises(ConfigError, match=r"race_questions is 100: give at most .* which is \d\d"):
        pipeline.menu(run, MenuConfig(race_questions=100))
    pipeline.search(run, CONFIG)
    with pytest.raises(ConfigError, match="questions in 'test', asked for 100: lower the limit"):
        pipeline.evaluate(run, pipeline.EvaluateConfig(limit=100))


def test_a_fixed_program_is_judged_next_to_the_identity(config, tmp_path):
    run = Run.create(tmp_path / "run", config)
    pipeline.search(run, CONFIG)
    told = Notes()
    policies = ("fixed:2:3x0", "fixed: 2:3x0", "random")
    settings = pipeline.EvaluateConfig(policies=policies, limit=5, k=2)
    report = pipeline.evaluate(run, settings, told)
    assert [row.policy for row in report.policies] == ["identity", "fixed:2:3x0", "random"]
    assert report.policies[1].mean_slots == run.stack.n_layers - 1
    assert told.n_expected == len(told.trials)
    for program, message in (("2:3", "is not START:STOPxRUNS"), ("7:9x2", "the last of 6")):
        with pytest.raises(ProgramError, match=message):
            pipeline.evaluate(run, pipeline.EvaluateConfig(policies=(f"fixed:{program}",)))


def test_a_misspelt_setting_in_a_run_names_the_file(tmp_path):
    (tmp_path / "config.json").write_text('{"run": {"modle": "x"}}')
    with pytest.raises(RunError, match=r"config.json: unknown setting 'run.modle': did you mean"):
        Run.open(tmp_path)


def test_a_run_finds_its_file_of_questions_from_every_folder(config, tmp_path, monkeypatch):
    file = Path(config.task.removeprefix("jsonl:"))
    monkeypatch.chdir(file.parent)
    run = Run.create(tmp_path / "run", replace(config, task=f"jsonl:{file.name}"))
    pipeline.search(run, CONFIG)
    run.store.close()
    del run.store
    monkeypatch.chdir("/")
    again = Run.open(tmp_path / "run")
    assert again.task.examples("train") == run.task.examples("train")
    pipeline.search(Run.create(tmp_path / "run", config), CONFIG)  # the same by another path
