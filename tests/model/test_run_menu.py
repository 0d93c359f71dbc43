"""A run folder from a menu to a judged selector."""

import dataclasses
import json
import shutil
import sqlite3
from pathlib import Path

import pytest
import torch
from families import build, tokenizer
from tallies import Notes

import skiploop
from skiploop.cli.main import main
from skiploop.errors import ConfigError, DataError, RunError, UnknownNameError
from skiploop.menus.menu import Menu, MenuConfig
from skiploop.policies.polar.training import TrainConfig
from skiploop.policies.selector.calibration import calibration
from skiploop.policies.selector.learning import SelectorConfig
from skiploop.policies.selector.surface import WIDTH, hashed
from skiploop.runs import from_table, pipeline
from skiploop.runs.folder import RunConfig
from skiploop.runs.methods.make import make_methods
from skiploop.runs.session import Run
from skiploop.tasks.asked import AskedTask

CONFIG = MenuConfig(size=4, race_questions=8, limit=50, first_layer=1, max_block=2)
NAMES = (
    "selector",
    "selector:5.5",
    "vote:3",
    "majority:3",
    "sample:2",
    "static",
    "damped",
    "surface",
    "shuffled",
    "shuffled:open",
    "random-menu",
)


def made(run, name):
    (method,) = make_methods([name], run)
    return method.policy


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on a tiny model with a finished menu and a trained selector."""
    folder = tmp_path_factory.mktemp("menu")
    build("llama").save_pretrained(folder / "model")
    tokenizer().save_pretrained(folder / "model")
    config = RunConfig(model=str(folder / "model"), options=("level=2",))
    run = Run.create(folder / "run", config)
    pipeline.menu(run, CONFIG)
    pipeline.train_on_menu(run, SelectorConfig())
    return folder / "run"


def test_a_menu_and_what_is_learned_from_it_are_judged_on_held_out_questions(folder):
    run = Run.open(folder)
    menu = Menu.load(folder)
    curve = list(menu.oracle_coverage)
    assert len(menu.programs) == len(curve) == 4 and sorted(curve) == curve
    report = pipeline.evaluate(run, pipeline.EvaluateConfig(policies=NAMES, limit=6, k=2))
    assert [row.policy for row in report.policies] == ["identity", *NAMES]
    assert {row.n_examples for row in report.policies} == {6}
    assert report.search is None and report.menu == menu
    page = (folder / "report" / "index.html").read_text()
    assert "Oracle coverage of other questions" in page and str(menu.programs[1]) in page
    oracle = {row.policy: list(row.oracle) for row in report.policies}
    assert oracle["sample:2"] == [2] and oracle["vote:3"] == [2, 3] and oracle["damped"] == []
    assert set(report.timing.wall_s) == {"identity", *NAMES}
    assert {row.policy for row in report.risk} == {"identity", *NAMES}
    assert sum(one.right.total for one in report.calibration) == CONFIG.limit * len(menu.programs)
    assert "Scores against expected ones" in page
    assert len(json.loads((folder / "report.json").read_text())["calibration"]) == 10


def test_a_selector_under_a_limit_alone_shows_the_calibration_of_the_selector(folder, tmp_path):
    run = Run.open(shutil.copytree(folder, tmp_path / "run"))
    report = pipeline.evaluate(run, pipeline.EvaluateConfig(policies=("selector:5.5",), limit=2))
    it = run.selector.data
    expected = calibration(it.predicted_QP, it.score_QP, it.right_QP)
    assert list(report.calibration) == expected


def test_the_published_network_learns_from_a_menu_too(folder, tmp_path):
    copied = shutil.copytree(folder, tmp_path / "run")
    with sqlite3.connect(copied / "trials.sqlite") as trials:  # the tiny model is never right
        trials.execute("UPDATE trials SET correct = (length(program) % 2)")
    run = Run.open(copied)
    trained = pipeline.train(run, TrainConfig(epochs=1, batch_size=32))
    assert trained.origin.training.n_targets > 0
    report = pipeline.evaluate(run, pipeline.EvaluateConfig(policies=("polar",), limit=6, k=2))
    assert [row.policy for row in report.policies] == ["identity", "polar"]
    assert report.calibration == ()


def test_the_trained_selector_loads_with_its_model(folder):
    policy, known = skiploop.load_policy(folder), Run.open(folder).selector
    assert policy.name == "selector"
    prompts = ["2 + 3 = ", "47 + 5 = "]
    assert policy.rank(prompts, 3) == known.rank(prompts, 3)


def test_a_selector_is_trained_on_a_text_encoder_and_used_from_the_command_line(
    folder, bert_folder, tmp_path, capsys
):
    run = str(shutil.copytree(folder, tmp_path / "run"))
    train = ["train", "--method", "selector", "--text-encoder", bert_folder]
    assert main([*train, "--run", run, "--json"]) == 0
    learned = json.loads(capsys.readouterr().out.splitlines()[-1])["selector"]
    assert (learned["text_encoder"], learned["layer"]) == (bert_folder, None)
    model = Run.open(Path(run)).config.model
    assert main(["generate", "2 + 3 = ", "--policy", run, "--model", model, "--json"]) == 0
    written = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [one["program"] for one in written["completions"]] == ["identity"]


def test_a_vote_on_the_command_line_is_that_of_the_evaluation(folder, capsys):
    run = Run.open(folder)
    config = pipeline.EvaluateConfig(policies=("vote:3",), limit=6, k=1)
    pipeline.evaluate(run, config)
    records = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    won = [r for r in records if r["policy"] == "vote:3" and r["rank"] == 0]
    flags = ["--policy", str(folder), "--vote", "3", "--model", run.config.model, "--stop", "\\n"]
    flags += ["--max-new-tokens", str(run.task.max_new_tokens), "--json"]
    capsys.readouterr()
    for example, record in zip(run.task.examples("test", 6), won, strict=True):
        assert main(["generate", *flags, "--", run.task.prompt(example)]) == 0
        written = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert written["confidence"] == pytest.approx(record["confidence"], rel=1e-4)
        assert written["completions"][0]["text"] == record["text"]


def test_answers_are_extracted_as_the_task_of_the_run_reads_them(folder):
    task = Run.open(folder).task
    asked = AskedTask("another prompt", max_new_tokens=4, reader=task)
    grades = asked.grade_many([asked.asked] * 4, [" 7", "7 ", "+7", "seven"])
    assert [grade.answer for grade in grades] == ["7", "7", "7", ""]
    assert {grade.correct for grade in grades} == {None}


def test_without_names_the_policies_of_the_menu_are_judged(folder):
    report = pipeline.evaluate(Run.open(folder), pipeline.EvaluateConfig(limit=2, k=1))
    expected = ["identity", "selector", "static", "random", "surface", "shuffled:open"]
    assert [row.policy for row in report.policies] == expected


@pytest.mark.parametrize(
    ("names", "controls", "judged"),
    [
        (("selector:5.5",), True, ["identity", "selector:5.5", "surface", "shuffled:open"]),
        (("selector",), False, ["identity", "selector"]),
        (("static",), True, ["identity", "static"]),
        (("surface", "selector"), True, ["identity", "surface", "selector", "shuffled:open"]),
    ],
)
def test_a_selector_is_judged_beside_its_controls_unless_nobody_wants_them(
    folder, tmp_path, names, controls, judged
):
    run = Run.open(shutil.copytree(folder, tmp_path / "run"))
    config = pipeline.EvaluateConfig(policies=names, limit=2, k=1, controls=controls)
    assert [row.policy for row in pipeline.evaluate(run, config).policies] == judged


def test_surface_reads_the_text_and_not_the_model(folder):
    run = Run.open(folder)
    policy = made(run, "surface")
    examples = run.task.examples("test", 5)
    n_before = run.stack.work.n_layer_tokens
    features = policy.features.of([run.task.prompt(example) for example in examples])
    assert run.stack.work.n_layer_tokens == n_before
    assert torch.equal(features[:, :WIDTH], torch.stack([hashed(e.question) for e in examples]))


def test_an_open_gate_takes_the_highest_expected_score(folder):
    run = Run.open(folder)
    prompts = [run.task.prompt(example) for example in run.task.examples("test", 20)]
    closed, opened = (m.policy for m in make_methods(["shuffled", "shuffled:open"], run))
    best = closed.expected(prompts).argmax(1).tolist()
    assert [one for (one,) in opened.rank(prompts, 1)] == [opened.menu.programs[i] for i in best]
    assert opened.data.chosen_Q.equal(closed.data.chosen_Q)


def test_controls_read_the_table_of_the_menu_once(folder, monkeypatch):
    n_read, collect = [], from_table.collect
    monkeypatch.setattr(from_table, "collect", lambda *a: n_read.append(1) or collect(*a))
    make_methods(["surface", "shuffled", "shuffled:open"], Run.open(folder))
    assert len(n_read) == 1


def test_the_best_program_by_category_is_refused_where_there_is_one_category(folder, tmp_path):
    wanted = pipeline.EvaluateConfig(policies=("by-category",), limit=2)
    with pytest.raises(ConfigError, match=r"by-category: .* of one category, .* 'static' finds"):
        pipeline.evaluate(Run.open(folder), wanted)
    two = RunConfig(model=Run.open(folder).config.model, options=("level=1,2",))
    run = Run.create(tmp_path / "run", two)
    pipeline.menu(run, CONFIG)
    assert [row.policy for row in pipeline.evaluate(run, wanted).policies][1:] == ["by-category"]


def test_a_random_menu_costs_what_the_menu_costs(folder):
    policy = made(Run.open(folder), "random-menu")
    own = Menu.load(folder).programs
    assert [p.n_slots for p in policy.menu.programs] == [p.n_slots for p in own]


def test_nothing_is_run_again_for_a_menu_that_is_finished(folder):
    run = Run.open(folder)
    told = Notes()
    n_known = run.n_trials
    pipeline.menu(run, CONFIG, told)
    assert run.n_trials == n_known and told.trials


def test_a_run_whose_settings_have_the_names_of_the_last_version_goes_on(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    sections = json.loads(path.read_text())
    menu = sections["menu"]
    for new, old in [("race_questions", "raced"), ("layer_cost", "price")]:
        menu[old] = menu.pop(new)
    menu["anchors"] = menu.pop("damping_anchors")
    path.write_text(json.dumps(sections))
    run = Run.open(tmp_path / "run")
    assert pipeline.menu(run, CONFIG).programs == Menu.load(folder).programs
    with pytest.raises(RunError, match="menu: race_questions: 8 in the run, 9 asked"):
        pipeline.menu(run, dataclasses.replace(CONFIG, race_questions=9))


def test_other_settings_known_questions_and_wrong_names_are_refused(folder):
    run = Run.open(folder)
    with pytest.raises(RunError, match="size"):
        pipeline.menu(run, MenuConfig(size=5, race_questions=8, limit=50))
    with pytest.raises(ConfigError, match="learned from the 'train' questions"):
        pipeline.evaluate(run, pipeline.EvaluateConfig(split="train"))
    for name, error in {
        "selector:few": ConfigError,
        "selector:nan": ConfigError,
        "vote:0": ConfigError,
        "sample:x": ConfigError,
        "selektor": UnknownNameError,
    }.items():
        with pytest.raises(error):
            pipeline.evaluate(run, pipeline.EvaluateConfig(policies=(name,)))


def test_a_selector_needs_a_finished_menu_and_enough_questions(folder, tmp_path):
    config = Run.open(folder).config
    run = Run.create(tmp_path / "run", RunConfig(model=config.model, options=config.options))
    with pytest.raises(RunError, match="holds no menu: run 'skiploop menu build'"):
        pipeline.train_on_menu(run, SelectorConfig())
    pipeline.menu(run, MenuConfig(size=3, race_questions=4, limit=6, first_layer=1, max_block=1))
    with pytest.raises(DataError, match="6 questions are too few"):
        pipeline.train_on_menu(run, SelectorConfig())
    with pytest.raises(RunError, match="holds no selector: run 'skiploop train --method selector'"):
        pipeline.evaluate(run, pipeline.EvaluateConfig(policies=("selector:5",)))


def completions_of(capsys, *arguments):
    assert main(["generate", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])["completions"]


@pytest.mark.parametrize("vote", [[], ["--vote", "3"]])
def test_a_bare_question_is_put_as_the_run_puts_its_own_and_to_the_model_of_the_run(
    folder, capsys, vote
):
    run = Run.open(folder)
    (example,) = run.task.examples("test", 1)
    policy = ["--policy", str(folder), *vote]
    asked = completions_of(capsys, *policy, "--ask", example.question)
    limits = ["--stop", "\\n", "--max-new-tokens", str(run.task.max_new_tokens)]
    model = ["--model", run.config.model]
    whole = completions_of(capsys, *policy, *limits, *model, "--", run.task.prompt(example))
    assert asked == whole


def test_a_loaded_policy_carries_the_form_of_its_run(folder):
    run = Run.open(folder)
    (example,) = run.task.examples("test", 1)
    form = skiploop.load_policy(folder).form
    assert form.prompt(example.question) == run.task.prompt(example)
    assert (form.stop, form.max_new_tokens) == (run.task.stop, run.task.max_new_tokens)


def test_a_selector_that_keeps_the_plain_model_is_not_exported(folder, tmp_path, capsys):
    assert main(["export", "--run", str(folder), "--out", str(tmp_path / "policy")]) == 2
    assert "there is nothing to export" in capsys.readouterr().err
    assert not (tmp_path / "policy").exists()


def test_an_export_overwrites_nothing(folder, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["export", "--run", str(folder), "--out", str(tmp_path)]) == 2
    assert "exists already: give a new folder" in capsys.readouterr().err


def test_a_shipped_policy_is_judged_on_its_own_questions_alone(folder):
    with pytest.raises(RunError, match=r"learned from the questions of arithmetic-1.*judge it in"):
        make_methods(["smollm2-135m/arithmetic"], Run.open(folder))


def test_without_names_what_is_missing_is_said_and_the_rest_is_judged(folder, tmp_path, caplog):
    caplog.set_level("INFO", "skiploop")
    shutil.copytree(folder, tmp_path / "run", ignore=shutil.ignore_patterns(".lock"))
    run = Run.open(tmp_path / "run")
    run.forget("selector")  # as an interrupted training leaves it
    report = pipeline.evaluate(run, pipeline.EvaluateConfig(limit=2, k=1))
    assert [row.policy for row in report.policies] == ["identity", "static", "random"]
    assert "selector is left out: 'skiploop train --method selector' did not" in caplog.text
