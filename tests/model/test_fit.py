"""One command from questions to a judged choice, on a tiny model for which choosing pays."""

import itertools
import json
import random
import shlex
from collections import Counter

import planted
import pytest

import skiploop
from skiploop import Program
from skiploop.cli import console
from skiploop.cli.main import main
from skiploop.evaluation.readings import read_readings
from skiploop.runs.session import Run
from skiploop.tasks import SPLITS, Example, get_task
from skiploop.trials.evaluator import Evaluator

CANDIDATES = ("2:4x2", "4:5x2", "2:3x0")
MENU = [
    *("--set", f"menu.candidates={list(CANDIDATES)}", "--set", "menu.max_edits=1"),
    *("--set", "menu.size=4", "--set", "menu.race_questions=30"),
]
"""A menu of programs that are known: nothing races."""


@pytest.fixture(scope="module")
def files():
    """Return the folder of the model, and the questions of the planted run."""
    folder = planted.written_run().parent
    questions = folder / "questions.jsonl"
    questions.write_text(lines(json.loads(planted.QUESTIONS.read_text())))
    return folder / "model", questions


def lines(rows):
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def fitted(capsys, files, out, *arguments):
    """Run the command; return its figures and what it printed."""
    model, questions = files
    asked = ["--model", model, "--data", questions, "--option", "shots=0", "--out", out]
    assert main(["fit", *map(str, asked), *MENU, *arguments, "--json"]) == 0
    *printed, figures = capsys.readouterr().out.splitlines()
    return json.loads(figures), printed


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    """A run folder with a finished fit, for more right answers."""
    out = tmp_path_factory.mktemp("fit") / "run"
    model, questions = files
    asked = ["--model", model, "--data", questions, "--option", "shots=0", "--out", out]
    assert main(["fit", *map(str, asked), *MENU]) == 0
    return out


def test_a_gain_ends_in_one_sentence_and_in_commands_that_use_it(run, files, capsys, tmp_path):
    n_trials = Run.open(run).n_trials
    figures, printed = fitted(capsys, files, run)
    assert Run.open(run).n_trials == n_trials and len(read_readings(run)) == 1  # nothing ran again
    assert figures["outcome"] == {
        "policy": "selector",
        "is_more_right": True,
        "is_shorter": False,
    }
    assert figures["sentence"].startswith("More is right: ")
    end = printed.index("Next:")
    assert printed[end - 2] == figures["sentence"] and printed[end + 1 :] == [
        f"  {command}" for command in figures["next"]
    ]
    export, serve = (shlex.split(command) for command in figures["next"])  # choices: none to --ask
    assert serve[:2] == ["skiploop", "serve"]
    export[export.index("--out") + 1] = str(tmp_path / "policy")
    assert main(export[1:]) == 0


def test_what_the_questions_are_good_for_is_said_first(run, files, capsys):
    figures, printed = fitted(capsys, files, run)
    data = figures["data"]
    assert data["n_taught"] + data["n_judged"] + data["n_questions"]["validation"] == sum(
        data["n_questions"].values()
    )
    assert data["categories"].keys() == {"hen", "pen", "tent"} and 0 < data["least_gain"] < 0.5
    assert printed[1].startswith(f"to learn from: {data['n_taught']}, 30 of which choose")
    assert printed[5].startswith(f"gain that can be shown: {100 * data['least_gain']:.1f} points")


def test_an_estimate_starts_nothing(files, capsys, tmp_path):
    figures, _ = fitted(capsys, files, tmp_path / "run", "--estimate")
    assert figures["estimate"]["hours"] > 0 and "sentence" not in figures
    assert not (tmp_path / "run").exists()


def test_an_interrupted_fit_goes_on_and_finds_the_same(run, files, capsys, tmp_path, monkeypatch):
    model, questions = files
    asked = ["--model", model, "--data", questions, "--option", "shots=0"]
    command = ["fit", *map(str, asked), *MENU, "--out", str(tmp_path / "run")]
    count = console.TrialProgress.__call__

    def interrupted(self, trials):
        count(self, trials)
        if self.n_trials > 90:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(console.TrialProgress, "__call__", interrupted)
        assert main(command) == 130
    assert "go on with" in capsys.readouterr().err
    n_trials = Run.open(tmp_path / "run").n_trials
    assert 90 < n_trials < Run.open(run).n_trials
    again, _ = fitted(capsys, files, tmp_path / "run")
    before, _ = fitted(capsys, files, run)
    assert again["sentence"] == before["sentence"] and again["policies"] == before["policies"]


def test_fewer_layers_are_a_goal_of_their_own_and_are_exported_with_their_limit(
    files, capsys, tmp_path
):
    figures, _ = fitted(capsys, files, tmp_path / "run", "--goal", "layers")
    assert [row["policy"] for row in figures["policies"]] == ["identity", "selector:5.5"]
    assert figures["outcome"]["is_shorter"] and figures["layers"] == 5.5
    assert figures["sentence"].startswith("Layers are saved: 5.")
    export = shlex.split(figures["next"][0])
    assert export[-2:] == ["--layers", "5.5"]
    assert main(export[1:]) == 0
    kept = capsys.readouterr().out
    slots = float(kept.partition("with ")[2].partition(" layer")[0])
    assert slots <= 5.5


def test_both_goals_judge_both_choices(files, capsys, tmp_path):
    figures, _ = fitted(capsys, files, tmp_path / "run", "--goal", "both")
    names = [row["policy"] for row in figures["policies"]]
    assert names == ["identity", "selector:5.5", "selector"]
    assert figures["outcome"]["is_more_right"]


def test_where_nothing_is_shown_the_plain_model_is_kept(files, capsys, tmp_path):
    rows = json.loads(planted.QUESTIONS.read_text())
    for row in rows:  # what the answer is has nothing to do with the question
        row["answer"] = random.Random(row["question"]).choice(row["choices"])
    path = tmp_path / "chance.jsonl"
    path.write_text(lines(rows))
    figures, printed = fitted(capsys, (files[0], path), tmp_path / "run")
    assert figures["outcome"]["policy"] == "identity"
    assert figures["sentence"].startswith("Nothing is shown; the plain model is kept: ")
    assert figures["next"][0] == f"skiploop serve --model {files[0]}"
    assert printed[-3] == "Next:"


@pytest.fixture(scope="module")
def agreed(files):
    """Return questions, each with two choices of which every program of the menu picks the first.

    Model and programs are random: most questions have such a pair.
    """
    model, questions = files
    stack, task = skiploop.load(model), get_task(f"jsonl:{questions}", shots=0)
    programs = [Program.parse(text, stack.n_layers) for text in ("identity", *CANDIDATES)]
    asked = [
        Example(f"{one.question} {a}{b}", one.question, a, (a, b))
        for split in SPLITS
        for one in task.examples(split)
        for a, b in itertools.permutations(one.choices, 2)
    ]
    trials = Evaluator(stack, task).answer_pairs(list(itertools.product(asked, programs)))
    n_right = Counter(trial.example_id for trial in trials if trial.correct)
    return {one.question: one.choices for one in asked if n_right[one.id] == len(programs)}


@pytest.mark.parametrize(
    ("goal", "n_right"), [("accuracy", 0), ("accuracy", 1), ("accuracy", 2), ("both", 2)]
)
def test_where_no_program_changes_a_verdict_the_plain_model_is_kept_all_the_same(
    files, agreed, goal, n_right, capsys, tmp_path
):
    rows = [  # right are all, every second one, or none
        {"question": question, "choices": choices, "answer": choices[i % 2 >= n_right]}
        for i, (question, choices) in enumerate(agreed.items())
    ]
    path = tmp_path / "alike.jsonl"
    path.write_text(lines(rows))
    figures, printed = fitted(capsys, (files[0], path), tmp_path / "run", "--goal", goal)
    assert figures["policies"][0]["accuracy"]["value"] == pytest.approx(n_right / 2, abs=0.2)
    assert figures["sentence"].startswith("Nothing is shown; the plain model is kept: ")
    assert printed[-4:-2] == ["", "Next:"]


def test_questions_that_are_alone_in_their_category_are_learned_from_and_judged(
    files, capsys, tmp_path
):
    rows = json.loads(planted.QUESTIONS.read_text())
    for i, row in enumerate(rows[::10]):
        row["category"] = f"alone {i}"
    path = tmp_path / "alone.jsonl"
    path.write_text(lines(rows))
    figures, _ = fitted(capsys, (files[0], path), tmp_path / "run")
    assert len(figures["data"]["categories"]) > 20 and figures["sentence"].endswith(".")


def test_another_goal_in_the_same_folder_is_refused_by_name(run, files, capsys):
    model, questions = files
    asked = ["--model", model, "--data", questions, "--option", "shots=0", "--goal", "layers"]
    assert main(["fit", *map(str, asked), *MENU, "--out", str(run)]) == 2
    assert "made with another configuration (menu: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "there are no questions: give --data FILE, or a --task"),
        (["--data", "q.jsonl", "--task", "words"], "--data q.jsonl and --task words both say"),
        (["--data", "nowhere.jsonl"], "nowhere.jsonl cannot be read"),
        (["--data", "few.jsonl"], "different questions to learn from and"),
    ],
)
def test_what_cannot_be_fitted_is_refused_before_anything_starts(
    files, capsys, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    rows = json.loads(planted.QUESTIONS.read_text())[:60]
    (tmp_path / "few.jsonl").write_text(lines(rows))
    assert main(["fit", "--model", str(files[0]), "--out", "run", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
