"""Tensors of a run in files that tell when they are damaged."""

import math
import random
from contextlib import suppress

import pytest
import torch
from safetensors.torch import save_file

from skiploop.errors import RunError
from skiploop.policies.selector.data import SelectorData
from skiploop.policies.tensors import read_tensors, write_tensors

TENSORS = {
    "scores": torch.arange(6.0).reshape(2, 3),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "ridge": torch.tensor(0.3, dtype=torch.float64),
    "none": torch.empty(0, 2),
}
TEXTS = {"made_with": '{"seed": 1}'}


def is_whole(path):
    try:
        tensors, texts = read_tensors(path)
    except RunError:
        return False
    assert texts == TEXTS and tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)
    return True


def test_a_file_gives_back_what_was_written(tmp_path):
    write_tensors(tmp_path / "a.safetensors", TENSORS, TEXTS)
    assert is_whole(tmp_path / "a.safetensors")


def test_every_flipped_bit_is_told_or_changes_nothing(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, TENSORS, TEXTS)
    whole, refused = path.read_bytes(), 0
    for place in range(0, 8 * len(whole), 3):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            refused += not is_whole(path)
        except AssertionError:
            # The name of the checksum was hit: a file without one, its content as it was.
            assert b"sha256" not in damaged
    assert refused > 0.8 * 8 * len(whole) / 3


def test_a_file_without_a_checksum_is_read(tmp_path):
    save_file(TENSORS, tmp_path / "a.safetensors", TEXTS)
    assert is_whole(tmp_path / "a.safetensors")


def data():
    score_QP = torch.rand(60, 3, generator=torch.Generator().manual_seed(0))
    right_QP = (score_QP > 0.5).float()
    right_QP[0, 0] = math.nan
    return SelectorData(
        torch.randn(60, 4),
        score_QP,
        right_QP,
        torch.ones(60),
        torch.arange(60),
        torch.full((60,), 0.1),
        torch.arange(60) % 2,
        predicted_QP=score_QP / 2,
        distance_Q=torch.rand(60),
        unseen_UF=torch.randn(5, 4),
        chosen_Q=torch.arange(60) % 4 - 1,
        ridge=0.3,
    )


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("features_QF", torch.full((60, 4), math.nan)),
        ("features_QF", torch.randn(59, 4)),
        ("score_QP", torch.full((60, 3), 7.0)),
        ("score_QP", torch.rand(60, 2)),
        ("right_QP", torch.full((60, 3), 0.5)),
        ("weight_Q", torch.full((60,), -1.0)),
        ("group_Q", torch.arange(61)),
        ("group_Q", torch.full((60,), 60)),
        ("group_Q", torch.zeros(60)),
        ("category_Q", torch.zeros(60)),
        ("category_Q", torch.full((60,), -1)),
        ("distance_Q", torch.full((60,), -1.0)),
        ("distance_Q", torch.zeros(59)),
        ("unseen_UF", torch.randn(5, 3)),
        ("unseen_UF", torch.full((5, 4), math.nan)),
        ("predicted_QP", torch.full((60, 3), math.inf)),
        ("chosen_Q", torch.full((60,), 3)),
        ("blind_Q", torch.full((60,), 1.5)),
        ("ridge", torch.tensor(-0.3)),
        ("unknown", torch.tensor(1.0)),
    ],
)
def test_lessons_without_a_checksum_and_with_impossible_numbers_are_refused(tmp_path, name, tensor):
    path = tmp_path / "model.safetensors"
    data().save(path)
    tensors, _ = read_tensors(path)
    save_file(tensors, path)
    assert SelectorData.load(path).ridge == pytest.approx(0.3)
    save_file({**tensors, name: tensor}, path)
    with pytest.raises(RunError, match="holds"):
        SelectorData.load(path)


@pytest.mark.parametrize("name", ["group_Q", "chosen_Q", "blind_Q", "unseen_UF"])
def test_lessons_of_an_older_version_are_refused_as_such(tmp_path, name):
    path = tmp_path / "model.safetensors"
    data().save(path)
    tensors, _ = read_tensors(path)
    del tensors[name]
    save_file(tensors, path)
    with pytest.raises(RunError, match="is of an older version"):
        SelectorData.load(path)


def test_thousands_of_flipped_bytes_in_a_file_without_a_checksum_are_no_raw_error(tmp_path):
    path, rng = tmp_path / "model.safetensors", random.Random(0)
    data().save(path)
    save_file(read_tensors(path)[0], path)
    whole = path.read_bytes()
    for _ in range(200):
        damaged = bytearray(whole)
        for place in rng.choices(range(len(whole)), k=rng.choice([1, 20, 2000])):
            damaged[place] = rng.randrange(256)
        path.write_bytes(damaged)
        with suppress(RunError):
            SelectorData.load(path)
