"""Training: what it learns, that it repeats itself, and that it can be interrupted."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from skiploop.errors import ConfigError, DataError, RunError
from skiploop.policies.optimizing import cosine_with_warmup
from skiploop.policies.polar.targets import Target
from skiploop.policies.polar.training import TrainConfig, fit
from skiploop.programs.program import Program
from skiploop.programs.space import ProgramSpace

SPACE = ProgramSpace(6)
CONFIG = TrainConfig(epochs=3, batch_size=4, warmup_steps=2)
PROGRAMS = [SPACE.sample(seed) for seed in range(5)]


def targets(first, last):
    return [
        Target(f"prompt {i}", program, 1.0 + i)
        for i in range(first, last)
        for program in PROGRAMS[i % 3 : i % 3 + 2]
    ]


TRAINING, VALIDATION = targets(0, 8), targets(8, 12)


@pytest.fixture(scope="module")
def encodings():
    generator = torch.Generator().manual_seed(3)
    return {f"prompt {i}": torch.randn(2 + i % 4, 10, generator=generator) for i in range(12)}


class Interrupted(Exception):
    pass


def train(encodings, out, config=CONFIG, stop_after=None, training=TRAINING, validation=VALIDATION):
    def progress(metrics):
        if metrics["epoch"] == stop_after:
            raise Interrupted

    return fit(
        training, validation, encodings, space=SPACE, config=config, out=out, progress=progress
    )


def metrics_of(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "time_s"} for line in lines]


def same_weights(first, second):
    first, second = (load_file(folder / "model.safetensors") for folder in (first, second))
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_same_seed_gives_the_same_weights_and_another_seed_others(encodings, tmp_path):
    torch.manual_seed(1)
    train(encodings, tmp_path / "a")
    torch.manual_seed(2)
    train(encodings, tmp_path / "b")
    train(encodings, tmp_path / "c", replace(CONFIG, seed=1))
    assert same_weights(tmp_path / "a", tmp_path / "b")
    assert not same_weights(tmp_path / "a", tmp_path / "c")


def test_global_random_state_is_left_as_it_was(encodings, tmp_path):
    before = torch.random.get_rng_state()
    train(encodings, tmp_path)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_interrupted_training_ends_like_an_uninterrupted_one(encodings, tmp_path, stop_after):
    train(encodings, tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(encodings, tmp_path / "parts", stop_after=stop_after)
    assert len(metrics_of(tmp_path / "parts")) == stop_after
    assert not (tmp_path / "parts" / "model.safetensors").exists()
    train(encodings, tmp_path / "parts")
    assert same_weights(tmp_path / "whole", tmp_path / "parts")
    assert metrics_of(tmp_path / "whole") == metrics_of(tmp_path / "parts")


def test_finished_training_leaves_no_checkpoint(encodings, tmp_path):
    train(encodings, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"config.json", "metrics.jsonl", "model.safetensors"}


def test_going_on_with_other_settings_names_them(encodings, tmp_path):
    with pytest.raises(Interrupted):
        train(encodings, tmp_path, stop_after=1)
    with pytest.raises(RunError, match=r"learning_rate: 0\.0005 in the run, 0\.1 asked"):
        train(encodings, tmp_path, replace(CONFIG, learning_rate=0.1))
    with pytest.raises(RunError, match=r"data\.training"):
        train(encodings, tmp_path, training=TRAINING[1:])


def test_damaged_checkpoint_is_refused(encodings, tmp_path):
    (tmp_path / "checkpoint.safetensors").write_bytes(b"\0" * 40)
    with pytest.raises(RunError, match="delete it to start again"):
        train(encodings, tmp_path)


def test_epoch_with_the_least_validation_loss_is_kept(encodings, tmp_path):
    # What is right for a training prompt is wrong in validation: once the two kinds are told
    # apart, the validation loss rises.
    right = [Target(f"prompt {i}", PROGRAMS[i % 2], 1.0) for i in range(8)]
    wrong = [Target(f"prompt {i}", PROGRAMS[1 - i % 2], 1.0) for i in range(8)]
    many = replace(CONFIG, epochs=12, learning_rate=2e-3)
    train(encodings, tmp_path / "all", many, training=right, validation=wrong)
    losses = [line["validation_loss"] for line in metrics_of(tmp_path / "all")]
    best = losses.index(min(losses)) + 1
    assert 1 < best < 12
    with pytest.raises(Interrupted):
        train(encodings, tmp_path / "best", many, best, training=right, validation=wrong)
    checkpoint = load_file(tmp_path / "best" / "checkpoint.safetensors")
    kept = load_file(tmp_path / "all" / "model.safetensors")
    assert all(torch.equal(tensor, checkpoint[f"network/{name}"]) for name, tensor in kept.items())


def test_without_validation_the_last_epoch_is_kept(encodings, tmp_path):
    train(encodings, tmp_path / "none", validation=[])
    assert [line["validation_loss"] for line in metrics_of(tmp_path / "none")] == [None] * 3
    with pytest.raises(Interrupted):
        train(encodings, tmp_path / "last", validation=[], stop_after=3)
    checkpoint = load_file(tmp_path / "last" / "checkpoint.safetensors")
    kept = load_file(tmp_path / "none" / "model.safetensors")
    assert all(torch.equal(tensor, checkpoint[f"network/{name}"]) for name, tensor in kept.items())


def test_only_the_ratio_of_weights_in_a_batch_matters(encodings, tmp_path):
    heavier = [replace(target, weight=8 * target.weight) for target in TRAINING]
    train(encodings, tmp_path / "a", validation=[])
    train(encodings, tmp_path / "b", training=heavier, validation=[])
    assert same_weights(tmp_path / "a", tmp_path / "b")


def test_learning_rate_rises_and_then_falls_like_a_cosine():
    shares = [cosine_with_warmup(step, warmup_steps=4, n_steps=12) for step in range(13)]
    assert shares[:5] == [0, 0.25, 0.5, 0.75, 1]
    assert shares[8] == pytest.approx(0.5)
    assert shares[12] == pytest.approx(0)


def test_nothing_to_train_on_is_refused(encodings, tmp_path):
    with pytest.raises(DataError, match="no target"):
        train(encodings, tmp_path, training=[])


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"warmup_steps": -1}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        TrainConfig(**wrong)


def test_two_encoders_are_refused():
    with pytest.raises(ConfigError, match="give one of them"):
        TrainConfig(text_encoder="some/encoder", layer=3)


def test_program_outside_the_space_is_an_error_and_no_target(encodings, tmp_path):
    outside = Target("prompt 0", Program.parse("0:5x2", n_layers=6), 1.0)
    with pytest.raises(ValueError, match="is not in ProgramSpace"):
        train(encodings, tmp_path, training=[outside])
