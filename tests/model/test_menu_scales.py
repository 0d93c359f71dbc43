"""Programs of a menu that scale layers, learned on a tiny random model."""

import json

import numpy as np
import pytest
from families import N_LAYERS, build, load, tokenizer
from parity import FirstLetterTask, ParityTask
from planted import command

from skiploop.cli.main import main
from skiploop.errors import ConfigError, DataError
from skiploop.menus import scales as module
from skiploop.menus.menu import Menu, MenuConfig
from skiploop.menus.scales import Ascent, learn_scales
from skiploop.policies.random_edits import random_programs
from skiploop.programs.program import Program
from skiploop.programs.scales import scales_of
from skiploop.runs.session import Run
from skiploop.trials.slopes import right_answer, root_slopes

N_PROGRAMS, FIRST_LAYER = 3, 2


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(module, "BATCH", 6)
    monkeypatch.setattr(module, "STEPS_FOR_ALL", 4)
    monkeypatch.setattr(module, "STEPS_APART", 4)


@pytest.fixture(scope="module")
def stack():
    return load("llama")


def learned(stack, folder, task=None, n_programs=N_PROGRAMS):
    task = task or FirstLetterTask()
    folder.mkdir(exist_ok=True)
    examples = task.examples("train", 12)
    return learn_scales(stack, task, examples, n_programs, FIRST_LAYER, folder)


def mean_root(stack, program, task):
    examples = task.examples("train", 12)
    prompts = [task.prompt(example) for example in examples]
    answers = [right_answer(task, example) for example in examples]
    return root_slopes(stack, prompts, answers, np.array(scales_of(program)))[0] / 12


def test_programs_scale_layers_from_the_first_one_on_and_make_right_answers_likelier(
    stack, tmp_path
):
    programs = learned(stack, tmp_path / "a")
    assert len(set(programs)) == N_PROGRAMS
    for program in programs:
        assert program.kind == "scale" and program.n_slots == N_LAYERS
        assert scales_of(program)[:FIRST_LAYER] == [1.0] * FIRST_LAYER
    task = FirstLetterTask()
    plain = mean_root(stack, Program.identity(N_LAYERS), task)
    assert max(mean_root(stack, program, task) for program in programs) > 1.02 * plain


@pytest.mark.parametrize("last_step", [2, 4, 6])
def test_learning_that_was_interrupted_goes_on_to_the_same_programs(
    stack, tmp_path, last_step, monkeypatch
):
    whole = learned(stack, tmp_path / "whole")
    saved = module._Learning._save

    def interrupt(self, step, ascent):
        saved(self, step, ascent)
        if step == last_step:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module._Learning, "_save", interrupt)
        with pytest.raises(KeyboardInterrupt):
            learned(stack, tmp_path / "again")
    n_steps = []

    def count(self, step, ascent):
        n_steps.append(step)
        saved(self, step, ascent)

    monkeypatch.setattr(module._Learning, "_save", count)
    assert learned(stack, tmp_path / "again") == whole
    assert n_steps == list(range(last_step + 1, 9))
    other = learned(stack, tmp_path / "again", n_programs=2)  # another learning starts anew
    assert len(other) == 2 and len(n_steps) == 8 - last_step + 8


def test_without_right_answers_that_can_be_written_nothing_is_learned(stack, tmp_path):
    with pytest.raises(DataError, match="no questions of parity are left to learn scales from"):
        learned(stack, tmp_path / "a", ParityTask())


def test_a_step_goes_uphill_by_the_rate_and_scales_stay_in_their_range():
    ascent = Ascent(np.array([[1.0, 0.0, 3.0]]))
    ascent.climb(np.array([[0.2, -5.0, 5.0]]))
    np.testing.assert_allclose(ascent.scales_KL, [[1 + module.RATE, 0.0, 3.0]], atol=1e-6)
    again = Ascent.from_json(json.loads(json.dumps(ascent.to_json())))
    for one in (ascent, again):
        one.climb(np.array([[-0.1, 0.3, 0.0]]))
    assert (ascent.scales_KL == again.scales_KL).all()


def test_a_run_learns_scales_beside_its_table_and_its_selector_chooses_among_them(tmp_path):
    build("llama").save_pretrained(tmp_path / "model")
    tokenizer().save_pretrained(tmp_path / "model")
    model, out = tmp_path / "model", tmp_path / "run"
    asked = ["--model", model, "--task", "arithmetic", "--level", "2", "--out", out]
    sizes = ["--limit", "50", "--scaled", "3", "--scale-questions", "40", "--first-layer", "1"]
    command("menu", "build", *asked, *sizes, "--max-edits", "0", "--size", "4")
    menu = Menu.load(out)
    assert [program.kind for program in menu.programs] == ["identity"] + ["scale"] * 3
    run = Run.open(out)
    taught = json.loads((out / module.SCALES_FILE).read_text())["asked"]["questions"]
    table = {example.id for example in run.task.examples("train", 50)}
    assert taught.startswith("40 of arithmetic") and not table & set(
        taught.split(", from ")[1].split(" to ")
    )
    command("train", "--method", "selector", "--run", out)
    policies = "selector,static,surface,shuffled,random-menu"
    command("evaluate", "--run", out, "--limit", "20", "--policy", policies)
    records = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
    assert {record["policy"] for record in records} >= set(policies.split(","))


def test_half_of_few_questions_are_kept_for_scales_and_none_left_is_refused(tmp_path, capsys):
    lines = [json.dumps({"question": f"{i} + 1 =", "answer": str(i + 1)}) for i in range(40)]
    (tmp_path / "few.jsonl").write_text("\n".join(lines))
    build("llama").save_pretrained(tmp_path / "model")
    tokenizer().save_pretrained(tmp_path / "model")
    task = f"jsonl:{tmp_path / 'few.jsonl'}"
    asked = ["--model", tmp_path / "model", "--task", task, "--option", "shots=1"]
    sizes = ["--scaled", "2", "--max-edits", "0", "--first-layer", "1"]
    command("menu", "build", *asked, *sizes, "--out", tmp_path / "run")
    run = Run.open(tmp_path / "run")
    n_all = len(run.task.examples("train"))
    assert run.section("menu", MenuConfig).limit == n_all // 2
    everything = [*asked, *sizes, "--limit", n_all, "--out", tmp_path / "other"]
    assert main(["menu", "build", *map(str, everything)]) == 2
    assert "are left to learn scales from" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_what_cannot_be_learned_is_refused_before_it_is_tried(tmp_path, capsys):
    build("llama").save_pretrained(tmp_path / "model")
    tokenizer().save_pretrained(tmp_path / "model")
    asked = [
        "menu",
        "build",
        "--model",
        tmp_path / "model",
        "--level",
        "2",
        "--out",
        tmp_path / "r",
    ]
    for more, message in (
        (["--first-layer", "6"], "no layer may be edited: the model has 6 layers"),
        (["--scale-questions", "100000"], "questions are left beside the table of 20: give fewer"),
    ):
        given = [*asked, "--limit", "20", "--scaled", "2", "--max-edits", "0", *more]
        assert main([str(one) for one in given]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "r").exists()


def test_a_menu_without_edits_needs_scaled_programs():
    with pytest.raises(ConfigError, match=r"menu.max_edits is 0: give at least 1"):
        MenuConfig(max_edits=0)
    assert MenuConfig(max_edits=0, scaled=2).least_slots(6) == 6


def test_random_programs_have_the_same_scales_at_other_layers_from_the_first_change_on():
    like = (Program.identity(8), Program.parse("2:3x1*0.5 3:5x1*1.5 6:8x1*2", 8))
    plain, drawn = random_programs(like, (), 4, seed=1)
    assert plain == like[0] and drawn != like[1]
    assert sorted(scales_of(drawn)) == sorted(scales_of(like[1]))
    assert scales_of(drawn)[:2] == [1.0, 1.0]
    alike = [Program.parse(f"{layer}:{layer + 1}x1*1.2", 12) for layer in (4, 5, 6)]
    assert all(len(set(random_programs(alike, (), 4, seed))) == 3 for seed in range(20))
    with pytest.raises(DataError, match="gave no program like 4:8x1"):
        random_programs([Program.parse("4:8x1*0.5", 8)], (), 4, seed=1)
