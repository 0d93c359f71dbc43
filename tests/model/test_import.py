"""Verdicts of others become a run with which the commands go on; a wrong file leaves nothing."""

import json
from contextlib import closing
from types import SimpleNamespace

import pytest
from families import N_LAYERS
from planted import finished_run
from polar_samples import N_QUESTIONS, PATHS, commands_of, imported, samples, saved_model

from skiploop import Program
from skiploop.cli.main import main
from skiploop.exchange.formats import find_format
from skiploop.exchange.reading import Source
from skiploop.runs.folder import RunFolder
from skiploop.runs.questions import searched_examples
from skiploop.tasks.base import split_by_text


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("model"))


def test_the_verdicts_of_a_file_are_those_of_a_finished_search(folder, tmp_path, capsys):
    assert imported(tmp_path, folder, {"samples": samples()}) == 0
    assert "480 verdicts of 4 programs on 120 questions" in capsys.readouterr().out
    run = RunFolder.open(tmp_path / "RUN")
    tried = run.store.asked("search", N_LAYERS)
    assert list(tried) and len(tried) == len(searched_examples(run)) < N_QUESTIONS
    by_question = {sample["question"]: sample for sample in samples()}
    for example in searched_examples(run):
        sample = by_question[example.question]
        for trial in tried[example.id]:
            assert trial.correct == (PATHS[str(trial.program)] in sample["final_valid_transitions"])
    run.store.close()
    assert main(["train", "--run", str(tmp_path / "RUN"), "--epochs", "1"]) == 0


def test_what_a_file_says_is_never_shown_as_an_answer(folder, tmp_path):
    assert imported(tmp_path, folder, samples()) == 0
    run = RunFolder.open(tmp_path / "RUN")
    with closing(run.store) as store:
        trials = [trial for tried in store.asked("search", N_LAYERS).values() for trial in tried]
    assert {(trial.stopped_by, trial.reason) for trial in trials} == {("decided", "imported")}
    facts = run.facts("search")
    assert (facts["imported_as"], len(facts["sha256"])) == ("polar", 64)


def test_a_search_that_is_exported_and_imported_has_the_same_verdicts(tmp_path):
    source = finished_run()
    model = RunFolder.open(source).config.model
    files = []
    for run in (source, tmp_path / "AGAIN"):
        files.append(tmp_path / f"{run.name}.json")
        assert main(["export", "--run", str(run), "--to", "polar", "--out", str(files[-1])]) == 0
        if run == source:
            task = RunFolder.open(source).config.task
            command = ["import", files[0], "--from", "polar", "--model", model, "--out"]
            command += [tmp_path / "AGAIN", "--task", task, "--option", "shots=0"]
            assert main([str(word) for word in command]) == 0
    reader = find_format("polar", "import")
    before, after = (reader.read(Source(path, N_LAYERS)).questions for path in files)
    assert {q.question: (set(q.right), set(q.wrong)) for q in before} == {
        q.question: (set(q.right), set(q.wrong)) for q in after
    }


def test_questions_of_another_task_are_looked_up_and_others_counted(folder, tmp_path, capsys):
    lines = tmp_path / "mine.jsonl"
    mine = [{"question": s["question"], "answer": s["gt_ans"]} for s in samples()[:40]]
    lines.write_text("".join(f"{json.dumps(line)}\n" for line in mine))
    doubled = [*samples(), samples()[0]]
    assert imported(tmp_path, folder, doubled, "--task", f"jsonl:{lines}") == 0
    printed = capsys.readouterr().out
    assert "left out: 8" in printed and "questions that jsonl:mine.jsonl" in printed
    assert not (tmp_path / "RUN" / "questions.jsonl").exists()


def test_records_that_repeat_a_question_are_one(folder, tmp_path, capsys):
    twice = [*samples(), samples()[1]]
    assert imported(tmp_path, folder, twice) == 0
    printed = capsys.readouterr().out
    assert "on 120 questions" in printed
    assert "left out: 1 records that repeat a question, their verdicts joined" in printed


@pytest.mark.parametrize("form", ["re-polar", "drllm"])
def test_other_projects_become_runs_too(form, folder, tmp_path):
    polar = tmp_path / "polar.json"
    polar.write_text(json.dumps(samples()))
    contents = find_format("polar", "import").read(Source(polar, N_LAYERS))
    model = SimpleNamespace(name="owner/model", n_layers=N_LAYERS)
    find_format(form, "export").write(tmp_path / "other", contents, model)
    assert imported(tmp_path, folder, (tmp_path / "other").read_text(), form=form) == 0
    assert main(["train", "--run", str(tmp_path / "RUN"), "--epochs", "1"]) == 0


def test_programs_become_a_list_that_menu_build_races(folder, tmp_path, capsys):
    assert imported(tmp_path, folder, "0,0\n2,4\n0,6\n3,4;3,4\n", form="rys", out="list") == 0
    assert (tmp_path / "list").read_text() == "identity\n2:4x2\n0:6x2\n3:4x3\n"
    generate, build = commands_of(capsys.readouterr().out)
    assert generate.count("identity") == generate.count("2:4x2") == 1
    assert main(["the end" if word == "PROMPT" else word for word in generate]) == 0
    replaced = {"TASK": "arithmetic", "RUN": str(tmp_path / "RUN")}
    few = ["--race-questions", "8", "--limit", "8", "--max-edits", "1", "--level", "1"]
    assert main([*(replaced.get(word, word) for word in build), *few]) == 0
    menu = json.loads((tmp_path / "RUN" / "menu.json").read_text())
    assert set(menu["programs"]) <= {"identity", "2:4x2", "0:6x2", "3:4x3"}


WRONG = {
    "cut off": json.dumps(samples())[:-30],
    "no samples": "{}",
    "no path": json.dumps([{**samples()[0], "final_valid_transitions": [[0, "x"]]}]),
    "of a larger model": json.dumps([{**samples()[0], "final_valid_transitions": [[0, 30]]}]),
    "two answers": json.dumps([samples()[0], {**samples()[0], "gt_ans": "8"}]),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_file_leaves_nothing_behind(what, folder, tmp_path, capsys):
    assert imported(tmp_path, folder, WRONG[what]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"skiploop: {tmp_path / 'file.json'}")
    assert [path.name for path in tmp_path.iterdir()] == ["file.json"]
    if what == "two answers":
        assert ", record 1: the question of line 1 with another answer" in error


def test_questions_without_a_part_to_learn_from_are_refused(folder, tmp_path, capsys):
    held_out = next(
        sample
        for sample in samples()
        if split_by_text(sample["question"], validation=0.1, test=0.3) != "train"
    )
    assert imported(tmp_path, folder, [held_out]) == 2
    assert "has no question in the training part of boxed:" in capsys.readouterr().err
    assert not (tmp_path / "RUN").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--from", "polar", "--level", "2"], "--level and --option are of a task: give --task"),
        (["--from", "rys", "--task", "words"], "rys holds programs without questions: leave out"),
        (["--from", "checkpoint"], "unknown format to import 'checkpoint'"),
    ],
)
def test_a_wrong_command_is_refused_before_anything_is_loaded(more, message, tmp_path, capsys):
    command = ["import", "f.json", "--model", "no/such", "--out", str(tmp_path / "RUN"), *more]
    assert main(command) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "give the --program of a --model, or a --run"),
        (["--program", "2:4x2", "--run", "R"], "give the --program of a --model, or a --run"),
        (["--program", "2:4x2", "--to", "polar"], "polar holds questions with verdicts: give --r"),
        (["--program", "2:4x2", "--to", "gguf"], "unknown format to export 'gguf'"),
        (["--program", "2:4y2"], "in program '2:4y2'"),
        (["--run", "R", "--model", "m"], "a run knows its model: leave out --model and --dtype"),
        (
            ["--program", "2:4x2", "--landmarks", "9"],
            "--landmarks and --layers are of the policy of a run",
        ),
        (["--run", "R", "--to", "rys"], "there is no folder R"),
    ],
)
def test_a_wrong_export_is_refused_before_anything_is_loaded(more, message, tmp_path, capsys):
    assert main(["export", "--out", str(tmp_path / "out"), *more]) == 2
    assert message in capsys.readouterr().err


def test_the_menu_of_a_run_is_written_as_lists(tmp_path, capsys):
    out = tmp_path / "list"
    assert main(["export", "--run", str(finished_run()), "--to", "text", "--out", str(out)]) == 0
    menu = json.loads((finished_run() / "menu.json").read_text())["programs"]
    assert out.read_text().splitlines() == menu
    assert all(Program.parse(text, N_LAYERS) for text in menu)
    assert main(["export", "--run", str(finished_run()), "--to", "rys", "--out", str(out)]) == 2
    assert "exists already: give a new folder or file" in capsys.readouterr().err
