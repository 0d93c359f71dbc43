import os
import stat
from pathlib import Path

import pytest
import torch

from skiploop.files import at_home, remove_unfinished, replacing, write_atomic
from skiploop.policies.tensors import write_tensors


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
def test_every_file_gets_the_rights_that_the_umask_leaves(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_atomic(tmp_path / "a.json", "{}")
        write_tensors(tmp_path / "a.safetensors", {"x": torch.zeros(2)})
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {0o666 & ~mask}


def test_what_a_killed_process_was_writing_is_removed_and_nothing_else(tmp_path):
    (tmp_path / "selector").mkdir()
    kept = [tmp_path / "selector" / "model.safetensors", tmp_path / ".hidden", tmp_path / ".lock"]
    for path in kept:
        path.write_text("kept")
    with replacing(tmp_path / "selector" / "model.safetensors") as beside:
        beside.write_text("half")
        remove_unfinished(tmp_path)
        assert not beside.exists()
        beside.write_text("whole")
    assert kept[0].read_text() == "whole" and all(path.exists() for path in kept)


def test_a_tilde_is_the_home_folder_where_there_is_one(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    assert at_home("~/questions.jsonl") == Path("/home/somebody/questions.jsonl")
    assert at_home("a/~b") == Path("a/~b")
    assert at_home("~nobody-of-this-name/x") == Path("~nobody-of-this-name/x")
