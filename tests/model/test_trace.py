"""`skiploop trace` and `skiploop doctor` on a tiny model."""

import json

import planted
import pytest

import skiploop
from skiploop.cli.main import main
from skiploop.extras import PACKAGES

PROMPTS = [f"Question: the {name} 12 on 47?\nAnswer:" for name in planted.PROGRAMS]


@pytest.fixture(scope="module")
def run():
    return planted.finished_run()


@pytest.mark.parametrize("prompt", PROMPTS)
def test_trace_tells_what_is_chosen_and_by_how_much(run, capsys, prompt):
    assert main(["trace", prompt, "--policy", str(run), "--top", "2", "--json"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    found = json.loads(last)
    (ranked,) = skiploop.load_policy(run).rank([prompt], 2)
    assert [one["program"] for one in found["candidates"]] == [str(p) for p in ranked]
    assert [one["n_slots"] for one in found["candidates"]] == [p.n_slots for p in ranked]
    assert found["plain"]["program"] == "identity"
    assert found["n_programs"] == 5
    assert lines[0].startswith(f"{ranked[0]}: {ranked[0].n_slots} layer passes")
    assert f"leads the runner-up by {found['lead']:.4f}" in "\n".join(lines)


def test_doctor_checks_a_model_and_names_the_extras(capsys, llama_folder):
    assert main(["doctor", "--model", llama_folder, "--json"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    found = json.loads(last)
    assert found["model"]["check"].startswith("passed")
    assert found["model"]["rows"] == "of any length share a batch"
    assert found["versions"]["skiploop"] == skiploop.__version__
    assert list(found["extras"]) == list(PACKAGES)
    assert [line for line in lines if not line.startswith(" ")] == [
        "versions:",
        "extras:",
        "machine:",
        "model:",
    ]
