"""One command on the packaged model, as somebody with a file of 120 questions types it."""

import json
import random

import pytest

from skiploop.cli.main import main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

WORDS = "bear drum chair lamp tiger apple river stone cloud bread horse table piano candle garden"
PLACES = {"first": 0, "middle": 1, "last": 2}
MENU = [  # a small one, so that it takes a minute
    *("--set", "menu.max_edits=1", "--set", "menu.first_layer=22", "--set", "menu.size=4"),
    *("--set", "menu.max_block=3", "--set", "menu.damping_anchors=[]"),
    *("--set", "menu.race_questions=10"),
]


def question(place, draw):
    three = draw.sample(WORDS.split(), 3)
    asked = f"{place} of {', '.join(three)}"
    return {"question": asked, "answer": three[PLACES[place]], "category": place}


def test_from_a_file_of_questions_to_an_answer_without_the_file(tmp_path, capsys, monkeypatch):
    draw = random.Random(0)
    lines = [question(place, draw) for place in [*PLACES] * 40]
    data = tmp_path / "my.jsonl"
    data.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    run, policy = str(tmp_path / "run"), str(tmp_path / "policy")

    fit = ["fit", "--data", str(data), "--goal", "layers", "--out", run, *MENU, "--json"]
    assert main(fit) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["data"]["n_questions"]["test"] == found["data"]["n_judged"] > 20
    names = [row["policy"] for row in found["policies"]]
    assert names[0] == "identity" and names[1].startswith("selector:")
    assert found["sentence"].startswith(("Layers are saved: ", "Nothing is shown; the plain model"))

    assert main(["export", "--run", run, "--layers", "29", "--out", policy]) == 0
    data.unlink()
    monkeypatch.chdir(tmp_path.parent)
    capsys.readouterr()
    for vote in ([], ["--vote", "2"]):
        asked = ["generate", "--policy", policy, *vote, "--ask", "last of bear, drum, chair"]
        assert main([*asked, "--json"]) == 0
        answer = json.loads(capsys.readouterr().out.splitlines()[-1])["completions"][0]
        assert answer["stopped_by"] == "stop" and "\n" not in answer["text"].strip()
