"""A report is made again from records, without the model."""

import json
import math
import shutil

import planted
import pytest

from skiploop.cli.main import main
from skiploop.evaluation.measured import Measured
from skiploop.evaluation.wall_time import Timing
from skiploop.policies.selector.calibration import CalibrationBin
from skiploop.stats import Mean, Share

REPORTS = ("report.json", "report.md", "report/index.html", "report/data.js")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """Return a run whose second evaluation was its last; its model is gone."""
    run = shutil.copytree(planted.finished_run(), tmp_path_factory.mktemp("evaluated") / "run")
    planted.command("evaluate", "--run", run, "--policy", "static", "--limit", 5, "--k", 1)
    planted.command("evaluate", "--run", run, "--policy", "selector,vote:3", "--limit", 9)
    return run


@pytest.fixture
def run(evaluated, tmp_path, monkeypatch):
    def load(*_, **__):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("skiploop.runs.session.load", load)
    return shutil.copytree(evaluated, tmp_path / "run")


def test_a_report_made_again_is_the_same_to_the_byte(run, capsys):
    before = {name: (run / name).read_bytes() for name in REPORTS}
    for name in REPORTS:
        (run / name).unlink()
    planted.command("report", run, "--json")
    assert {name: (run / name).read_bytes() for name in REPORTS} == before
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert printed.pop("run") == str(run)
    assert printed == json.loads(before["report.json"])
    assert printed["read_before"]["n_times"] == 1 and printed["calibration"]


def shown(run):
    """Return what the page of a run is given."""
    script = (run / "report" / "data.js").read_text(encoding="utf-8")
    return json.loads(script.removeprefix("const DATA = ").removesuffix(";\n"))


def test_the_page_has_every_question_with_what_policies_and_programs_said(run):
    data, report = shown(run), json.loads((run / "report.json").read_text())
    assert data["report"] == report and data["elsewhere"] == {}
    judged, menu = data["questions"]["judged"], data["questions"]["menu"]
    programs = [program["text"] for program in data["programs"]]
    policies = [row["policy"] for row in report["policies"]]
    assert all(sorted(one["answers"]) == sorted(policies) for one in judged)
    n_right = sum(one["answers"]["selector"][1] for one in judged)
    assert n_right == report["policies"][1]["accuracy"]["count"] and len(judged) == 9
    assert len(menu) == 180
    for one in menu:
        assert [programs[trial[0]] for trial in one["trials"]] == report["menu"]["programs"]


def test_the_page_has_the_searches_with_every_step(run):
    searches = shown(run)["searches"]
    assert len(searches) == 8
    for one in searches:
        assert len(one["steps"]) == 9 and one["steps"][0][-1] == [0]
        assert all(walk[-1] == step for step, (*_, walk) in enumerate(one["steps"]))


def test_the_page_tells_of_evaluations_on_other_tasks(run, capsys):
    other = run / "on" / "words" / "report.json"
    other.parent.mkdir(parents=True)
    shutil.copy(run / "report.json", other)
    planted.command("report", run)
    data = shown(run)
    assert data["elsewhere"] == {data["report"]["title"]: data["report"]["policies"]}
    other.write_text(other.read_text()[:-20])
    assert main(["report", str(run)]) == 2
    assert f"cannot read {other}" in capsys.readouterr().err


def test_a_changed_record_changes_the_report(run):
    records = (run / "records.jsonl").read_text()
    (run / "records.jsonl").write_text(records.replace('"correct": true', '"correct": false'))
    planted.command("report", run)
    found = json.loads((run / "report.json").read_text())
    assert {row["accuracy"]["count"] for row in found["policies"]} == {0}


@pytest.mark.parametrize("name", ["measured.json", "records.jsonl", "provenance.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut"])
def test_what_is_missing_or_damaged_is_named(run, name, damage, capsys):
    content = (run / name).read_text()
    (run / name).write_text({"missing": "", "empty": "", "cut": content[:-20]}[damage])
    if damage == "missing":
        (run / name).unlink()
    assert main(["report", str(run)]) == 2
    said = capsys.readouterr().err
    assert str(run) in said and ("evaluate" in said or name in said)


def test_records_of_other_questions_are_refused(run, capsys):
    records = (run / "records.jsonl").read_text()
    (run / "records.jsonl").write_text(records.replace("questions.jsonl:", "others.jsonl:"))
    assert main(["report", str(run)]) == 2
    assert "no question of its task" in capsys.readouterr().err


def test_before_an_evaluation_the_menu_and_the_searches_are_shown(tmp_path, capsys):
    run = shutil.copytree(planted.finished_run(), tmp_path / "run")
    planted.command("report", run)
    assert "No policy was judged yet: 'skiploop evaluate' does it" in capsys.readouterr().out
    data = shown(run)
    assert data["report"]["policies"] == [] and data["report"]["provenance"]["skiploop"]
    assert data["report"]["menu"] and data["report"]["search_table"]
    assert len(data["questions"]["menu"]) == 180 and data["questions"]["judged"] == []
    assert len(data["searches"]) == 8


def test_a_search_alone_is_shown_without_what_belongs_to_menus_and_policies(tmp_path):
    run = shutil.copytree(planted.written_run(), tmp_path / "run")
    planted.command("report", run)
    data, page = shown(run), (run / "report" / "index.html").read_text()
    assert len(data["searches"]) == 2 and data["report"]["menu"] is None
    assert 'href="#search"' in page and "No policy was judged yet" in page
    for view in ("questions", "policies", "programs"):
        assert f'href="#{view}"' not in page and f'id="view-{view}"' not in page


def test_a_search_whose_tree_steps_over_programs_shows_the_tried_ones(tmp_path):
    made = json.loads((planted.written_run() / "config.json").read_text())["run"]
    what = ["--model", made["model"], "--task", "arithmetic", "--level", 1, "--out", tmp_path / "r"]
    planted.command("search", *what, "--method", "polar-released", "--limit", 2, "--budget", 12)
    planted.command("report", tmp_path / "r")
    searches = shown(tmp_path / "r")["searches"]
    walks = [walk for one in searches for *_, walk in one["steps"]]
    assert len(searches) == 2 and all(walk == sorted(walk) and walk[0] == 0 for walk in walks)


def test_what_is_not_finished_is_left_out_or_named(tmp_path, capsys):
    run = shutil.copytree(planted.finished_run(), tmp_path / "run")
    facts = json.loads((run / "provenance.json").read_text())
    for stages, expected in ((("search",), None), (("search", "menu"), "is not finished: run")):
        left = {name: fact for name, fact in facts.items() if name not in (*stages, "sha256")}
        (run / "provenance.json").write_text(json.dumps(left))
        assert main(["report", str(run)]) == (2 if expected else 0)
        if expected:
            assert f"the search in {run} {expected} the same" in capsys.readouterr().err
        else:
            assert shown(run)["searches"] == [] and shown(run)["report"]["menu"]


def test_a_run_that_holds_nothing_is_refused(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"run": {}}')
    assert main(["report", str(tmp_path)]) == 2
    assert "holds nothing to show: run 'skiploop search', " in capsys.readouterr().err


def test_a_comparison_leaves_a_report_of_its_methods(tmp_path):
    run = shutil.copytree(planted.finished_run(), tmp_path / "run")
    made = json.loads((run / "config.json").read_text())["run"]
    what = ["--model", made["model"], "--task", made["task"], "--option", "shots=0", "--out", run]
    planted.command("compare", *what, "--methods", "selector,static", "--limit", 9)
    planted.command("report", run)
    names = [row["policy"] for row in shown(run)["report"]["policies"]]
    assert names == ["identity", "selector", "static"]


def test_what_was_measured_survives_its_file(tmp_path):
    timing = Timing(
        n_tokens=16,
        wall_s={"identity": [0.1, 0.2], "static": [0.3, 0.1]},
        choosing_s={"static": 1e-5},
        n_prompts=2,
        prompt_s={"identity": [0.1, 0.1], "static": [0.2, 1 / 3]},
    )
    bins = (CalibrationBin(0.1, Mean(1 / 3, math.inf, 1), Share(0, 0)),)
    for measured in (
        Measured(timing=timing, calibration=bins),
        Measured(timing=None, calibration=()),
    ):
        measured.save(tmp_path)
        assert Measured.load(tmp_path) == measured
