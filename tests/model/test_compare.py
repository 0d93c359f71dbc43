"""Methods under one protocol, on a tiny model for which choosing pays."""

import json
import shutil
import signal
from pathlib import Path

import families
import planted
import pytest

from skiploop.cli.main import main
from skiploop.evaluation.comparison import Comparison
from skiploop.evaluation.readings import read_readings
from skiploop.menus.menu import Menu
from skiploop.runs.methods.given import identity
from skiploop.runs.policies import within_budgets
from skiploop.runs.session import Run
from skiploop.runs.stages import stages_of

METHODS = "selector,static,fixed:2:4x2"
STAGES = [
    *("--set", "menu.size=3", "--set", "menu.race_questions=12", "--set", "menu.limit=60"),
    *("--set", "menu.first_layer=1", "--set", "menu.max_block=2", "--set", "menu.max_edits=1"),
    *("--set", "search.limit=4", "--set", "search.budget=3", "--set", "train.epochs=1"),
]


def files():
    """Return the folder of the model, and the questions that the planted run is about."""
    return (
        planted.finished_run().parent / "model",
        planted.finished_run().parent / "questions.jsonl",
    )


@pytest.fixture
def elsewhere(tmp_path):
    """Return other questions, a third of which the run knows."""
    lines = [json.loads(line) for line in files()[1].read_text().splitlines()]
    for line in lines[::2]:
        line["question"] = line["question"].replace("the ", "a ")
    path = tmp_path / "elsewhere.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


@pytest.fixture
def run(tmp_path):
    return shutil.copytree(planted.finished_run(), tmp_path / "run")


def command(*arguments):
    return main(["compare", *map(str, arguments)])


def compared(run, *arguments):
    """Compare on the questions of the planted run; return what was found on each task."""
    model, questions = files()
    what = ["--model", model, "--task", f"jsonl:{questions}", "--option", "shots=0"]
    assert command(*what, "--out", run, "--limit", 12, *arguments) == 0
    found = [Comparison.load(path) for path in (run / "compare").glob("*.json")]
    return sorted(found, key=lambda one: not one.is_in_distribution)


def rows(found):
    return {row.method: row for row in found.rows}


def test_methods_are_judged_on_the_task_and_on_others_by_what_was_learned_once(run, elsewhere):
    here, there = compared(run, "--methods", METHODS, "--on", f"jsonl:{elsewhere} shots=0")
    names = ["identity", "selector", "static", "fixed:2:4x2"]
    assert [list(rows(one)) for one in (here, there)] == [names, names]
    assert there.trained_on == here.questions != there.questions
    for one in (here, there):
        assert one.n_questions == 12 and one.n_read_before == 0
        plain, fixed = rows(one)["identity"], rows(one)["fixed:2:4x2"]
        assert plain.identity_share.value == 1 and fixed.identity_share.value == 0
        assert fixed.harm.count == fixed.broken and fixed.harm.total == 12
        assert fixed.accuracy.count - plain.accuracy.count == fixed.fixed - fixed.broken
        assert fixed.mean_passes == plain.mean_passes + 2
        assert fixed.cost.flops > plain.cost.flops > 0
    assert rows(here)["selector"].cost.training_s is None  # the planted run measured nothing


def test_questions_that_something_was_learned_from_are_not_asked_elsewhere(run, elsewhere, capsys):
    compared(run, "--methods", "selector", "--on", f"jsonl:{elsewhere} shots=0", "--split", "test")
    parent = Run.open(run)
    (folder,) = (run / "on").iterdir()
    beside = Run.open(folder)
    (reading,) = read_readings(folder)
    learned = {example.group for example in parent.task.examples("train")}
    asked = {e.group for e in beside.task.examples("test") if e.id in reading.example_ids}
    assert asked and not asked & learned


def test_the_same_command_again_reads_no_question_again(run, elsewhere):
    arguments = ["--methods", METHODS, "--on", f"jsonl:{elsewhere} shots=0"]
    first = compared(run, *arguments)
    n_trials = Run.open(run).n_trials
    before = [path.read_text() for path in sorted((run / "compare").iterdir())]
    assert compared(run, *arguments) == first
    assert [path.read_text() for path in sorted((run / "compare").iterdir())] == before
    assert len(read_readings(run)) == 1 and Run.open(run).n_trials == n_trials


def test_other_methods_read_the_questions_again_and_the_file_says_so(run):
    compared(run, "--methods", "static")
    (found,) = compared(run, "--methods", "static,fixed:2:4x2")
    assert found.n_read_before == 12


def test_a_comparison_that_will_be_replaced_is_named_with_its_methods(run, capsys):
    compared(run, "--methods", "static,fixed:2:4x2")
    assert "will be replaced" not in capsys.readouterr().err
    compared(run, "--methods", "fixed:2:4x2")
    (path,) = (run / "compare").iterdir()
    told = f"{path} will be replaced, copy it to keep what it says of identity, static, fixed:2:4x2"
    assert told in capsys.readouterr().err


def test_a_setting_by_its_old_name_is_the_same_setting_when_the_command_comes_again(run):
    arguments = ["--methods", "static", "--set", "menu.raced=48"]
    assert compared(run, *arguments) == compared(run, *arguments)


def test_stages_that_methods_need_run_once_and_their_time_is_in_the_cost(tmp_path):
    model, questions = files()
    what = ["--model", model, "--task", f"jsonl:{questions}", "--option", "shots=0", *STAGES]
    arguments = [*what, "--out", tmp_path / "new", "--limit", 6, "--methods"]
    assert command(*arguments, "polar,selector,static") == 0
    made = Run.open(tmp_path / "new")
    assert set(made.settings) == {"run", "search", "menu", "train", "selector"}
    (path,) = (tmp_path / "new" / "compare").iterdir()
    costs = {row.method: row.cost.training_s for row in Comparison.load(path).rows}
    assert costs["polar"] > 0 and costs["selector"] > costs["identity"] >= 0
    ended = made.facts("menu")
    assert command(*arguments, "selector") == 0
    assert made.facts("menu") == ended


def test_methods_that_need_no_stage_are_compared_in_an_empty_folder(tmp_path):
    (found,) = compared(tmp_path / "new", "--methods", "damped,fixed:2:4x2")
    assert list(rows(found)) == ["identity", "damped", "fixed:2:4x2"]
    assert set(Run.open(tmp_path / "new").settings) == {"run"}
    assert all(row.cost.training_s is not None for row in found.rows)


def test_a_stage_with_other_settings_is_refused(run, capsys):
    model, questions = files()
    what = ["--model", model, "--task", f"jsonl:{questions}", "--option", "shots=0"]
    again = ["--set", "menu.size=7", "--out", run, "--methods", "selector"]
    assert command(*what, *again) == 2
    assert "menu: size: 5 in the run, 7 asked" in capsys.readouterr().err


def test_stages_are_those_that_are_needed_in_the_order_in_which_they_run(tmp_path, run):
    empty = Run(tmp_path / "none", Run.open(run).config)
    assert stages_of(["identity"], empty) == []
    assert stages_of(["static"], empty) == ["menu"]
    assert stages_of(["static", "polar"], empty) == ["search", "train"]
    assert stages_of(["vote:3", "polar"], empty) == ["search", "menu", "train", "selector"]


def test_methods_that_draw_answers_sit_out_other_tasks_whose_questions_have_choices(
    tmp_path, capsys
):
    model, with_choices = files()
    lines = [json.loads(line) for line in with_choices.read_text().splitlines()]
    (tmp_path / "my sums").mkdir()
    (tmp_path / "my sums" / "written.jsonl").write_text(
        "".join(f"{json.dumps({'question': one['question'], 'answer': '4'})}\n" for one in lines)
    )
    task = f"jsonl:{tmp_path}/my sums/written.jsonl"
    what = ["--model", model, "--task", task, "--option", "shots=0", "--limit", 4]
    on = ["--on", f"'jsonl:{with_choices}' shots=0"]
    methods = ["--methods", "sample:2,fixed:2:4x2"]
    assert command(*what, *on, *methods, "--out", tmp_path / "new run") == 0
    found = [Comparison.load(path) for path in (tmp_path / "new run" / "compare").glob("*.json")]
    here, there = sorted(found, key=lambda one: not one.is_in_distribution)
    assert list(rows(here)) == ["identity", "sample:2", "fixed:2:4x2"]
    assert list(rows(there)) == ["identity", "fixed:2:4x2"]
    assert "without sample:2, which draw answers at random" in capsys.readouterr().err


def test_names_that_take_layer_passes_come_once_for_each_budget():
    names = ["identity", "selector", "selector:29"]
    assert within_budgets(names, (), 30) == names
    assert within_budgets(names, (0.85, 1.0, 1.15), 30) == [
        *("identity", "selector:25.5", "selector:30", "selector:34.5", "selector:29"),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "nobody"], "unknown policy 'nobody'"),
        (["--methods", ","], "nothing to compare"),
        (["--methods", "selector", "--budget", "many"], "--budget many is no list of numbers"),
        (["--methods", "selector", "--budget", "0"], "give shares of the model's layer passes"),
        (["--methods", "selector", "--budget", "0.1"], "selector:0.6: layer passes are at least"),
        (["--methods", "sample:3"], "answers are drawn at random, but these questions have"),
        (["--methods", "static", "--budget", "0.9"], "none is among static: leave it out"),
        (["--methods", "static", "--on", "nothing"], "unknown task 'nothing'"),
        (["--methods", "static", "--on", "words level"], "'level' is not KEY=VALUE"),
        (["--methods", "static", "--on", "jsonl:it's"], "has a quote that does not end"),
        (["--methods", "static", "--on", " "], "--on names no task"),
        (["--page"], "--page has nothing to show"),
        (["--page", "nowhere"], "nowhere holds no comparison"),
        (["folder", "--methods", "static"], "folders are given with --page"),
        (["--methods", "static", "--estimate", "--rate", "0"], "--rate 0.0 is no rate"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(run, capsys, arguments, message):
    model, questions = files()
    what = ["--model", model, "--task", f"jsonl:{questions}", "--option", "shots=0"]
    code = command(*arguments, *([] if "--page" in arguments else what), "--out", run)
    err = [line for line in capsys.readouterr().err.splitlines() if message in line]
    assert code == 2 and len(err) == 1


def refused_at_once(name, folder, capsys):
    """Return the lines that a method is refused in before anything runs."""
    model, questions = files()
    what = ["--model", model, "--task", f"jsonl:{questions}", "--option", "shots=0", *STAGES]
    assert command(*what, "--out", folder / "new", "--methods", f"static,{name}") == 2
    assert not (folder / "new").exists()
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("selector:3.9", "4"),  # one edit, two layers at most
        ("shortgpt:0.5", "1"),
        ("angular:0", "1"),
        ("sleb:-1", "1"),
        ("tale:0.9", "1"),
        ("early-exit:0.5", "1"),
        ("mindskip:1", "4"),
        ("flexidepth:1", "3"),
    ],
)
def test_a_budget_that_nothing_can_meet_is_refused_before_anything_runs(
    tmp_path, capsys, name, least
):
    (line,) = [one for one in refused_at_once(name, tmp_path, capsys) if name in one]
    assert f"{name}: layer passes are at least {least}" in line and "allow more" in line


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fixed:20:22x2", "edit 20:22x2 ends after layer 5, the last of 6"),
        ("flexidepth-weights:nowhere", "nowhere"),
        ("smollm2-135m/words", "smollm2-135m/words"),
    ],
)
def test_what_the_model_cannot_be_given_is_refused_before_anything_runs(
    tmp_path, capsys, name, message
):
    *_, told = refused_at_once(name, tmp_path, capsys)
    assert message in told


@pytest.mark.parametrize(
    ("family", "name", "message"),
    [
        ("lfm2", "mindskip:5", "has no attention of its own that can be left out"),
        ("gpt2", "flexidepth:5", "tokens cannot skip the layers of GPT2LMHeadModel"),
        ("falcon_h1", "early-exit:5", "early exit is for models whose layers all keep keys"),
    ],
)
def test_a_model_that_a_limited_method_cannot_run_is_refused_before_anything_runs(
    tmp_path, capsys, family, name, message
):
    families.build(family).save_pretrained(tmp_path / "model")
    families.tokenizer().save_pretrained(tmp_path / "model")
    what = ["--model", tmp_path / "model", "--task", f"jsonl:{files()[1]}", *STAGES]
    assert command(*what, "--out", tmp_path / "new", "--methods", f"static,{name}") == 2
    assert message in capsys.readouterr().err and not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "static", "--limit", 1000], "asked for 1000: lower the limit"),
        (["--methods", "static", "--split", "train"], "the menu learns from the 'train' questions"),
        (["--methods", "static,sample:3"], "answers are drawn at random, but these questions"),
        (["--methods", "static", "--on", "ITSELF"], "is named twice: give each task once with"),
        (["--methods", "static", "--on", "words,words"], "words is named twice: give each task"),
    ],
)
def test_questions_that_cannot_be_asked_are_refused_before_anything_runs(
    tmp_path, capsys, arguments, message
):
    model, questions = files()
    what = ["--model", model, "--task", f"jsonl:{questions}", "--option", "shots=0", *STAGES]
    own = f"jsonl:{questions} shots=0"
    arguments = [own if word == "ITSELF" else word for word in arguments]
    assert command(*what, "--out", tmp_path / "new", *arguments) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "new").exists()


def test_categories_that_nobody_learned_about_are_refused_before_anything_is_judged(
    run, elsewhere, capsys
):
    lines = [json.loads(line) for line in elsewhere.read_text().splitlines()]
    other = "".join(f"{json.dumps({**line, 'category': 'moss'})}\n" for line in lines)
    elsewhere.write_text(other)
    model, questions = files()
    what = ["--model", model, "--task", f"jsonl:{questions}", "--option", "shots=0"]
    on = ["--methods", "by-category", "--on", f"jsonl:{elsewhere} shots=0"]
    assert command(*what, "--out", run, "--limit", 12, *on) == 2
    assert "such as 'moss': leave out by-category" in capsys.readouterr().err
    assert not (run / "compare").exists()


def test_a_budget_that_no_program_of_the_menu_meets_is_refused_before_anything_learns_from_it(
    tmp_path, capsys
):
    model, questions = files()
    what = ["--model", model, "--task", f"jsonl:{questions}", "--option", "shots=0", *STAGES]
    wide, out = ["--set", "menu.max_edits=2"], tmp_path / "new"
    assert command(*what, *wide, "--out", out, "--methods", "selector:2") == 2
    shortest = min(program.n_slots for program in Menu.load(out).programs)
    assert shortest > 2
    assert f"selector:2: layer passes are at least {shortest} " in capsys.readouterr().err
    made = Run.open(out)
    assert made.facts("menu") and not made.has("selector") and not (out / "selector").exists()


def test_an_estimate_starts_nothing(tmp_path, capsys):
    model, questions = files()
    what = ["--model", model, "--task", f"jsonl:{questions}", "--option", "shots=0", *STAGES]
    asked = ["--methods", "polar,vote:3", "--limit", 6, "--out", tmp_path / "new", "--estimate"]
    assert command(*what, *asked, "--rate", 1, "--json") == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    parts = {part["what"]: part for part in found["parts"]}
    assert parts["search"]["n_rows"] == 4 * (2 * 3 + 1)
    assert [p["n_rows"] for name, p in parts.items() if name.startswith("jsonl")] == [
        6 * (1 + 1 + 3)
    ]
    assert found["hours"] * 3600 == pytest.approx(sum(p["flops"] for p in parts.values()) / 1e12)
    assert found["disk_bytes"] > found["weight_bytes"] > 0
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["method", "rules"])
def test_the_released_search_has_as_many_walks_as_its_authors_gave_it(tmp_path, capsys, name):
    model, questions = files()
    what = ["--model", model, "--task", f"jsonl:{questions}", "--option", "shots=0"]
    asked = ["--methods", "polar", "--limit", 6, "--out", tmp_path / "new", "--estimate", "--json"]
    few = ["--set", f"search.{name}=polar-released", "--set", "search.limit=4"]
    assert command(*what, *asked, *few) == 0
    search, *_ = json.loads(capsys.readouterr().out.splitlines()[-1])["parts"]
    assert (search["what"], search["n_rows"]) == ("search", 4 * (2 * 100 + 1))


def test_what_was_learned_is_judged_on_another_task_in_either_prompt(run, elsewhere, capsys):
    shown = {}
    for prompt in ("task", "run"):
        where = ["--task", f"jsonl:{elsewhere}", "--option", "shots=2", "--prompt", prompt]
        asked = ["evaluate", "--run", str(run), "--policy", "selector", "--limit", "9", *where]
        assert main([*asked, "--json"]) == 0
        out = capsys.readouterr().out
        assert "selector: the plain model for" in out and "harm:" in out
        shown[prompt] = json.loads(out.splitlines()[-1])
    beside = {prompt: Run.open(Path(one["run"])) for prompt, one in shown.items()}
    own, its = (beside[prompt].task.prompt for prompt in ("task", "run"))
    example = beside["task"].task.examples("test", 1)[0]
    assert own(example).endswith(its(example)) and own(example) != its(example)
    assert its(example) == Run.open(run).task.prompt(example)
    assert not Run.open(run).has("evaluate")


def test_each_method_is_told_of_before_it_is_made(run, capsys):
    compared(run, "--methods", METHODS)
    told = [line for line in capsys.readouterr().err.splitlines() if "making" in line]
    names = ["identity", "selector", "static", "fixed:2:4x2"]
    assert told == [f"skiploop: making {name}" for name in names]


def test_ctrl_c_stops_before_the_next_method_is_made(run, monkeypatch, capsys):
    def pressed_while(asked):
        signal.raise_signal(signal.SIGINT)
        return identity(asked)

    monkeypatch.setattr("skiploop.runs.methods.given.identity", pressed_while)
    model, questions = files()
    what = ["--model", model, "--task", f"jsonl:{questions}", "--option", "shots=0"]
    assert command(*what, "--out", run, "--limit", 12, "--methods", METHODS) == 130
    assert "making selector" not in capsys.readouterr().err
