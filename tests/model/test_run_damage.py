"""A run folder after mistakes and accidents: nothing is left behind, and what is lost is named."""

import json
import random
import shutil
from pathlib import Path

import pytest
from tallies import Raises

from skiploop.cli.main import main
from skiploop.errors import ConfigError, RunError, SkiploopError
from skiploop.menus.menu import Menu, MenuConfig
from skiploop.policies.polar.training import TrainConfig
from skiploop.policies.selector.learning import SelectorConfig
from skiploop.runs import pipeline
from skiploop.runs.folder import RunConfig
from skiploop.runs.session import Run
from skiploop.search.campaign import SearchConfig

MENU = MenuConfig(size=4, race_questions=8, limit=50, first_layer=1, max_block=2)
SEARCH = SearchConfig(limit=6, budget=3)


@pytest.fixture(scope="module")
def config(llama_folder):
    return RunConfig(model=llama_folder, options=("level=2",))


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory):
    """A run with a finished menu and a trained selector."""
    run = Run.create(tmp_path_factory.mktemp("finished") / "run", config)
    pipeline.menu(run, MENU)
    pipeline.train_on_menu(run, SelectorConfig())
    run.store.close()
    return run.folder


@pytest.fixture
def folder(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def error_line(capsys, *arguments):
    assert main(list(arguments)) == 2
    out, err = capsys.readouterr()
    news, line = err.splitlines()[:-1], err.splitlines()[-1]
    assert out == "" and line.startswith("skiploop: ")
    assert all("answers or fewer, about" in one for one in news)  # how much work it would be
    return line


def test_a_refused_command_leaves_nothing_and_the_corrected_one_works(
    llama_folder, tmp_path, capsys
):
    out = tmp_path / "deep" / "run"
    build_menu = ["menu", "build", "--model", llama_folder, "--level", "2", "--out", str(out)]
    build_menu += ["--size", "3", "--race-questions", "4", "--limit", "5", "--max-edits", "1"]
    for wrong, message in (
        (["--first-layer", "40"], "no layer may be edited"),
        (["--model", "no/such-model"], "no/such-model"),
        (["--split", "trian"], "unknown split"),
        (["--option", "levle=2"], "levle"),
        (["--memory", "0.000001"], "one batch has 500"),
        (["--layer-cost", "2"], "layer cost is 2"),
    ):
        assert message in error_line(capsys, *build_menu, *wrong)
        assert not out.exists()
    assert main([*build_menu, "--first-layer", "4"]) == 0


def test_a_stage_that_is_refused_leaves_the_others_as_they_are(config, tmp_path):
    folder = tmp_path / "run"
    run = Run.create(folder, config)
    pipeline.search(run, SEARCH)
    before = (folder / "config.json").read_text()
    with pytest.raises(ConfigError, match="no layer may be edited"):
        pipeline.menu(run, MenuConfig(first_layer=40, race_questions=4, limit=5))
    assert (folder / "config.json").read_text() == before
    assert run.n_trials == len(run.store) > 0


def test_a_stage_that_fails_after_its_first_trial_can_go_on(config, tmp_path):
    run = Run.create(tmp_path / "run", config)
    with pytest.raises(RuntimeError, match="full disk"):
        pipeline.search(run, SEARCH, Raises(RuntimeError("full disk")))
    assert run.has("search") and run.n_trials > 0


def test_a_folder_that_was_there_stays(config, tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(ConfigError, match="no layer may be edited"):
        pipeline.menu(Run.create(tmp_path / "run", config), MenuConfig(first_layer=40))
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("older", [False, True])
def test_trials_that_are_lost_are_named_and_made_again(older, config, folder):
    (folder / "trials.sqlite").unlink()
    if older:  # versions that did not note how many there were
        facts = json.loads((folder / "provenance.json").read_text())
        del facts["sha256"], facts["menu"]["ended_with"]
        (folder / "provenance.json").write_text(json.dumps(facts))
    for policy in ("static", "identity", "selector"):
        with pytest.raises(RunError, match=r"trials are lost: .*the same 'skiploop menu build'"):
            pipeline.evaluate(
                Run.open(folder), pipeline.EvaluateConfig(policies=(policy,), limit=2)
            )
    with pytest.raises(RunError, match="trials are lost"):
        pipeline.train(Run.open(folder), TrainConfig(epochs=1))
    run = Run.create(folder, config)
    pipeline.menu(run, MENU)
    assert pipeline.evaluate(run, pipeline.EvaluateConfig(policies=("static",), limit=2, k=1))


def test_settings_that_a_finished_stage_was_not_made_with_are_named(folder):
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"limit": 50', '"limit": 58'))
    with pytest.raises(RunError, match=r"config.json was changed: the settings of the menu"):
        pipeline.evaluate(Run.open(folder), pipeline.EvaluateConfig(policies=("static",), limit=2))


def parts_of(folder):
    """Return what later commands read of a finished run."""
    run = Run.open(folder)
    asked = run.finished("menu", MenuConfig)
    pairs = [
        (e.id, str(p)) for e in run.task.examples("train", 50) for p in Menu.load(folder).programs
    ]
    data = run.selector.data
    return (
        (asked, run.finished("selector", SelectorConfig), run.config, Menu.load(folder)),
        {pair: trial for pair, trial in run.store.get(pairs).items()},
        [tensor.tolist() for name, tensor in vars(data).items() if name != "ridge"],
    )


@pytest.mark.parametrize("name", ["menu.json", "provenance.json", "trials.sqlite"])
def test_flipped_bytes_in_a_finished_run_are_told_or_change_nothing(name, folder, monkeypatch):
    loaded = Run.open(folder).stack
    monkeypatch.setattr("skiploop.runs.session.load", lambda *_args, **_settings: loaded)
    expected = repr(parts_of(folder))
    rng, path = random.Random(0), folder / name
    whole, n_told = path.read_bytes(), 0
    for _ in range(15):
        damaged = bytearray(whole)
        for place in rng.choices(range(len(whole)), k=rng.choice([1, 1, 50])):
            damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            assert repr(parts_of(folder)) == expected
        except SkiploopError:
            n_told += 1
        for rest in folder.glob("trials.sqlite-*"):
            rest.unlink()
    assert n_told > 3


def test_samples_of_choices_are_refused_before_any_work(llama_folder, tmp_path, monkeypatch):
    lines = [{"question": f"{i}?", "choices": ["yes", "no"], "answer": i % 2} for i in range(60)]
    questions = tmp_path / "q.jsonl"
    questions.write_text("".join(json.dumps(line) + "\n" for line in lines))
    options = ("shots=0",)
    run = Run.create(
        tmp_path / "run", RunConfig(model=llama_folder, task=f"jsonl:{questions}", options=options)
    )
    pipeline.search(run, SEARCH)
    run.store.close()
    monkeypatch.setattr(Run, "stack", property(lambda _: pytest.fail("the model was loaded")))
    config = pipeline.EvaluateConfig(policies=("static", "sample:3"), limit=4)
    with pytest.raises(ConfigError, match=r"sample:3: answers are drawn at random, but .* choices"):
        pipeline.evaluate(Run.open(run.folder), config)


def test_what_a_training_prints_is_json(folder, capsys):
    arguments = ["train", "--method", "selector", "--run", str(folder), "--json"]
    assert main(arguments) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    figures = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert figures["selector"]["keeps_identity"] and figures["selector"]["margin"] is None


def test_a_selector_that_is_written_anew_is_none_until_it_is_whole(folder, monkeypatch):
    run = Run.open(folder)
    policy = run.selector

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("skiploop.policies.selector.data.SelectorData.save", killed)
    with pytest.raises(KeyboardInterrupt):
        policy.save(folder)
    with pytest.raises(RunError, match="holds no trained selector"):
        _ = Run.open(Path(folder)).selector
