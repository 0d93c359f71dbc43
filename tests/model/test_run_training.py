"""Training in a run folder: what `config.json` says is true of the predictor that lies there."""

import json
import shutil
from dataclasses import replace

import pytest
from families import build, tokenizer

from skiploop.cli.main import main
from skiploop.errors import RunError
from skiploop.policies.polar.training import TrainConfig
from skiploop.runs import pipeline
from skiploop.runs.folder import RunConfig
from skiploop.runs.session import Run
from skiploop.search.campaign import SearchConfig

QUICK = TrainConfig(epochs=2, batch_size=8)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A run of two choices, of which a random model takes the right one now and then."""
    folder = tmp_path_factory.mktemp("searched")
    build("llama").save_pretrained(folder / "model")
    tokenizer().save_pretrained(folder / "model")
    lines = [
        {"question": f"question {i}?", "choices": ["yes", "no"], "answer": i % 2} for i in range(60)
    ]
    questions = folder / "q.jsonl"
    questions.write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = RunConfig(model=str(folder / "model"), task=f"jsonl:{questions}", options=("shots=0",))
    run = Run.create(folder / "run", config)
    pipeline.search(run, SearchConfig(limit=8, budget=4))
    run.store.close()
    return run.folder


@pytest.fixture
def folder(searched, tmp_path):
    return shutil.copytree(searched, tmp_path / "run")


def recorded(folder):
    return json.loads((folder / "config.json").read_text()).get("train")


class Interrupted(Exception):
    pass


def interrupt(_metrics):
    raise Interrupted


def evaluate(folder):
    config = pipeline.EvaluateConfig(policies=("polar",), limit=4, k=1)
    return pipeline.evaluate(Run.open(folder), config)


def test_other_settings_than_those_of_the_finished_predictor_are_refused_by_name(folder):
    pipeline.train(Run.open(folder), QUICK)
    weights = (folder / "predictor" / "model.safetensors").read_bytes()
    with pytest.raises(RunError, match=r"epochs: 2 in the run, 3 asked.*delete .*/predictor"):
        pipeline.train(Run.open(folder), replace(QUICK, epochs=3))
    assert recorded(folder)["epochs"] == 2
    assert (folder / "predictor" / "model.safetensors").read_bytes() == weights
    assert evaluate(folder).policies[1].policy == "polar"

    shutil.rmtree(folder / "predictor")
    pipeline.train(Run.open(folder), replace(QUICK, epochs=3))
    assert recorded(folder)["epochs"] == 3


def test_the_same_settings_train_again(folder):
    pipeline.train(Run.open(folder), QUICK)
    weights = (folder / "predictor" / "model.safetensors").read_bytes()
    pipeline.train(Run.open(folder), QUICK)
    assert (folder / "predictor" / "model.safetensors").read_bytes() == weights


def test_an_interrupted_training_is_recorded_nowhere_and_its_predictor_refused(folder):
    with pytest.raises(Interrupted):
        pipeline.train(Run.open(folder), QUICK, interrupt)
    assert recorded(folder) is None
    with pytest.raises(RunError, match="skiploop train"):
        evaluate(folder)
    with pytest.raises(RunError, match="unfinished training with other settings"):
        pipeline.train(Run.open(folder), replace(QUICK, epochs=3))
    assert recorded(folder) is None
    pipeline.train(Run.open(folder), QUICK)
    assert evaluate(folder).policies[1].policy == "polar"


def test_a_deleted_predictor_is_not_recorded_any_more_when_the_next_training_is_interrupted(folder):
    pipeline.train(Run.open(folder), QUICK)
    shutil.rmtree(folder / "predictor")
    with pytest.raises(Interrupted):
        pipeline.train(Run.open(folder), replace(QUICK, epochs=3), interrupt)
    assert recorded(folder) is None
    with pytest.raises(RunError, match="skiploop train"):
        evaluate(folder)


def test_a_predictor_without_a_finished_training_is_not_evaluated(folder):
    pipeline.train(Run.open(folder), QUICK)
    Run.open(folder).forget("train")
    with pytest.raises(RunError, match="skiploop train"):
        evaluate(folder)


def test_training_prints_its_losses_and_best_epoch_and_times_apart(folder, capsys):
    code = main(["train", "--run", str(folder), "--epochs", "3", "--batch-size", "8", "--json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    figures = json.loads(captured.out.splitlines()[-1])
    assert [line["epoch"] for line in figures["metrics"]] == [1, 2, 3]
    assert all(line["train_loss"] > 0 for line in figures["metrics"])
    losses = [line["validation_loss"] for line in figures["metrics"]]
    best = 3 if None in losses else losses.index(min(losses)) + 1
    assert figures["best_epoch"] == best
    assert len(figures["timing"]["epoch_s"]) == 3
    assert "time_s" not in figures["metrics"][0]


def test_the_run_section_of_a_configuration_file_is_checked(folder, tmp_path, capsys):
    path = tmp_path / "settings.yaml"
    path.write_text("run: {seed: 7}\ntrain: {epochs: 1}\n")
    assert main(["train", "--run", str(folder), "--config", str(path)]) == 2
    assert "seed: 0 in the run, 7 asked" in capsys.readouterr().err
