import importlib.util
import json
import os
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import skiploop
from skiploop.box import CLOSED_BOX
from skiploop.cli.console import TrialProgress
from skiploop.cli.main import app, main
from skiploop.cli.options import unescaped
from skiploop.files import at_home

COMMANDS = ["demo", "search", "menu", "train", "evaluate", "compare"]
COMMANDS += ["report", "studio", "export", "import", "generate", "chat", "serve", "trace"]
COMMANDS += ["show", "tasks", "doctor", "fit", "models"]
RUN_COMMANDS = [("demo",), ("search",), ("menu", "build"), ("train",), ("evaluate",), ("compare",)]
RUN_COMMANDS += [("fit",)]


def run(capsys, *arguments):
    code = main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def error_line(capsys, *arguments):
    """Return the one line on stderr of a command that the user got wrong."""
    code, out, err = run(capsys, *arguments)
    assert code == 2, (out, err)
    assert out == ""
    assert err.startswith("skiploop: ") and err.count("\n") == 1
    return err


def test_every_command_is_listed_and_tested():
    names = [c.name for c in app.registered_commands] + [g.name for g in app.registered_groups]
    assert sorted(names) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_gives_an_example(capsys, command):
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert f"Example: skiploop {command}" in out


@pytest.mark.parametrize("command", RUN_COMMANDS)
def test_commands_on_a_run_take_the_same_options(capsys, command):
    _, out, _ = run(capsys, *command, "--help")
    for option in ("--seed", "--out", "--config", "--set", "--json", "--threads"):
        assert option in out


def test_help_imports_no_torch():
    code = (
        "import sys\nfrom skiploop.cli.main import main\n"
        f"for command in {COMMANDS}: assert main([command, '--help']) == 0\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_show_draws_the_program(capsys):
    code, out, _ = run(capsys, "show", "3:5x0 6:8x2", "--layers", "10", "--json")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "3:5x0 6:8x2: 10 layer passes instead of 10"
    assert [line.split() for line in lines[1:6]] == [
        ["0", "1", "2"],
        ["skip", "(3", "4)"],
        ["5"],
        ["x2", "6", "7"],
        ["8", "9"],
    ]
    assert json.loads(lines[-1])["path"] == [0, 1, 2, 5, 6, 7, 6, 7, 8, 9]


@pytest.mark.parametrize("program", ["identity", "2:28x0", "2:28x2~0.5"])
def test_a_drawn_program_is_no_wider_than_the_terminal(capsys, monkeypatch, program):
    monkeypatch.setenv("COLUMNS", "40")
    code, out, _ = run(capsys, "show", program, "--layers", "30")
    assert code == 0
    _, *lines = out.splitlines()
    assert max(map(len, lines)) < 40
    words = " ".join(lines).translate(str.maketrans("()", "  ")).split()
    assert [word for word in words if word.isdecimal()] == [str(layer) for layer in range(30)]


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("3:5", "is not START:STOPxRUNS"),
        ("3:5x0 4:6x2", "4:6x2 starts before 3:5x0 ends"),
        ("0:30x0", "skips all 30 layers"),
        ("29:31x0", "ends after layer 29, the last of 30"),
    ],
)
def test_a_wrong_program_is_one_line(capsys, program, message):
    assert message in error_line(capsys, "show", program)


def test_an_unknown_command_option_or_argument_is_one_line(capsys):
    assert "shwo" in error_line(capsys, "shwo")
    assert "--lyers" in error_line(capsys, "show", "identity", "--lyers", "10")
    assert "'--layers'" in error_line(capsys, "show", "identity", "--layers", "ten")
    assert "Missing" in error_line(capsys, "show")


def test_unknown_names_say_what_was_probably_meant(capsys, tmp_path):
    out = str(tmp_path / "run")
    assert "did you mean 'arithmetic'" in error_line(
        capsys, "search", "--task", "arithmetik", "--out", out
    )
    assert "did you mean 'smollm2-135m'" in error_line(
        capsys, "search", "--model", "smollm-135m", "--out", out
    )
    assert "did you mean 'search.budget'" in error_line(
        capsys, "search", "--set", "search.budgte=3", "--out", out
    )
    assert "did you mean 'search'" in error_line(
        capsys, "search", "--set", "serach.budget=3", "--out", out
    )


def test_the_selector_takes_no_option_of_the_published_recipe(capsys, tmp_path):
    line = error_line(
        capsys, "train", "--method", "selector", "--epochs", "3", "--run", str(tmp_path)
    )
    assert "--epochs: the selector has no such option" in line


def test_a_text_encoder_or_layers_describe_a_prompt(capsys, tmp_path):
    both = ["--text-encoder", "some/encoder", "--layer", "3"]
    for method in ("polar", "selector"):
        line = error_line(capsys, "train", "--method", method, *both, "--run", str(tmp_path))
        assert "text_encoder is 'some/encoder' and layer is 3: give one of them" in line


def test_a_folder_that_is_no_run_says_how_to_make_one(capsys, tmp_path):
    assert "skiploop fit" in error_line(capsys, "train", "--run", str(tmp_path))
    assert "skiploop fit" in error_line(capsys, "evaluate", "--run", str(tmp_path))
    assert "there is no folder" in error_line(capsys, "train", "--run", str(tmp_path / "x"))


def test_a_run_of_another_configuration_names_what_differs(capsys, tmp_path):
    settings = {"run": {"task": "gsm8k", "seed": 1}}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    line = error_line(capsys, "search", "--task", "arithmetic", "--out", str(tmp_path))
    assert "task: 'gsm8k' in the run, 'arithmetic' asked" in line
    assert "seed: 1 in the run, 0 asked" in line


def test_a_folder_that_cannot_be_made_is_one_line(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    line = error_line(capsys, "search", "--out", str(tmp_path / "file" / "run"))
    assert "cannot make the run folder" in line and "--out" in line


def test_a_config_file_with_an_unknown_key_is_refused(capsys, tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("search:\n  buget: 5\n")
    line = error_line(capsys, "search", "--config", str(path), "--out", str(tmp_path / "run"))
    assert "buget" in line and "budget" in line


def test_settings_of_the_wrong_kind_name_the_setting(capsys, tmp_path):
    path, out = tmp_path / "settings.yaml", ["--out", str(tmp_path / "run")]
    for text, message in (
        ("search: 5", "search is 5, expected settings by name"),
        ("1: {a: 1}", "unknown section of settings '1'"),
        ("search: {exploration: fast}", "search.exploration is 'fast': expected a finite number"),
    ):
        path.write_text(text)
        line = error_line(capsys, "search", "--limit", "2", "--config", str(path), *out)
        assert message in line
    line = error_line(capsys, "train", "--epochs", "0", "--run", str(tmp_path))
    assert "train.epochs is 0: give more than 0" in line


def test_an_option_of_a_task_is_given_once_and_as_key_and_value(capsys):
    assert "is not KEY=VALUE" in error_line(capsys, "tasks", "arithmetic", "--option", "level")
    line = error_line(capsys, "tasks", "arithmetic", "--option", "level=3", "--level", "2")
    assert "say the same" in line


def test_a_configuration_file_goes_before_the_sizes_of_the_demo(capsys, tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("search: {budget: 0}\n")
    given = ["--full", "--config", str(path), "--out", str(tmp_path / "run")]
    line = error_line(capsys, "demo", *given)
    assert "budget" in line and "give at least 1" in line  # the file's 0, not the demo's 18


def test_a_bug_is_told_from_a_mistake_and_debug_shows_where(capsys, monkeypatch):
    def broken(*_args, **_kwargs):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("skiploop.cli.show.draw", broken)
    code, _, err = run(capsys, "show", "identity")
    assert (
        code == 1
        and err == "skiploop: bug: ZeroDivisionError: oh (add --debug for the traceback)\n"
    )
    assert main(["show", "identity"], debug=True) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_text_that_starts_with_a_dash_says_how_it_is_given(capsys):
    line = error_line(capsys, "generate", "-5 + 3 = ")
    assert "a text that starts with a dash comes last, after two dashes: -- TEXT" in line
    line = error_line(capsys, "generate", "--program", "3:5", "--", "-5 + 3 = ")
    assert "is not START:STOPxRUNS" in line


def test_escapes_in_a_text_are_read_and_other_backslashes_stay():
    assert unescaped(r"\n\n") == "\n\n"
    assert unescaped(r"a\tb\r") == "a\tb\r"
    assert unescaped(r"\\n \\") == "\\n \\"
    assert unescaped(CLOSED_BOX) == CLOSED_BOX == r"\boxed{...}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--top-k", "5"], "--top-k: nothing is drawn, give --temperature above 0 too"),
        (["--top-p", "2", "--seed", "0"], "--top-p, --seed: nothing is drawn"),
        (["--top-p", "2", "--temperature", "1"], "top_p=2.0"),
        (["--temperature", "inf"], "temperature is inf: give a finite number"),
        (["--stop", ""], "give no empty stop string"),
        (["--max-new-tokens", "99999999"], "max_new_tokens is 99999999"),
        (["--memory", "inf"], "'--memory'"),
        (["--threads", "100000"], "'--threads'"),
        (["--dtype", ""], "unknown dtype ''"),
        (["--device", ""], "unknown device ''"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_a_model_is_looked_for(capsys, arguments, message):
    line = error_line(capsys, "generate", "2 + 3 =", *arguments, "--model", "no-such-model")
    assert message in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "1"], "menu.size is 1: give at least 2"),
        (["--first-layer", "-1"], "menu.first_layer is -1: give at least 0"),
        (
            ["--race-questions", "6", "--limit", "5"],
            "menu.race_questions is 6: give at most menu.limit, which is 5",
        ),
    ],
)
def test_numbers_of_a_menu_out_of_range_are_named(capsys, tmp_path, arguments, message):
    line = error_line(capsys, "menu", "build", "--out", str(tmp_path / "run"), *arguments)
    assert line == f"skiploop: {message}\n" and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("old", "new", "number"),
    [
        ("--raced", "--race-questions", "9999"),
        ("--price", "--layer-cost", "2"),
        ("--anchor", "--damping-anchor", "1.5"),
    ],
)
def test_an_old_option_means_the_new_one_and_is_in_no_help(capsys, tmp_path, old, new, number):
    build = ("menu", "build", "--out", str(tmp_path / "run"))
    line = error_line(capsys, *build, new, number)
    assert line == error_line(capsys, *build, old, number)
    assert line == error_line(capsys, *build, f"{old}={number}")
    _, shown, _ = run(capsys, "menu", "build", "--help")
    assert new in shown.split() and old not in shown.split()


def test_tasks_are_listed_and_shown(capsys):
    code, out, _ = run(capsys, "tasks")
    assert code == 0 and "arithmetic" in out.split()
    code, out, _ = run(capsys, "tasks", "arithmetic", "--level", "1", "--limit", "2", "--json")
    shown = json.loads(out.splitlines()[-1])
    assert code == 0 and len(shown["examples"]) == 2
    assert shown["examples"][0]["prompt"] in out


def test_the_reference_page_is_what_help_prints():
    docs = Path(__file__).parents[2] / "docs"
    spec = importlib.util.spec_from_file_location("page", docs / "make_cli_reference.py")
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    message = "run: python docs/make_cli_reference.py"
    assert (docs / "reference" / "cli.md").read_text() == page.reference(), message


def test_the_bare_command_prints_the_help(capsys):
    code, out, err = run(capsys)
    assert code == 0 and "Commands:" in out and err == ""


def test_one_configuration_file_serves_every_command(capsys, tmp_path):
    path = tmp_path / "all.yaml"
    path.write_text("run: {seed: 1}\nsearch: {budget: 5}\ntrain: {epochs: 2}\nevaluate: {k: 2}\n")
    for command in ("train", "evaluate"):
        line = error_line(capsys, command, "--config", str(path), "--run", str(tmp_path))
        assert "skiploop fit" in line  # the file was read; there is no run yet
    line = error_line(capsys, "train", "--set", "search.budget=5", "--run", str(tmp_path))
    assert "unknown section of settings 'search'" in line


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "identity"],
        ["tasks"],
        ["tasks", "arithmetic", "--level", "1"],
        ["models"],
    ],
)
def test_json_without_a_run_says_where_it_comes_from_and_its_time_apart(capsys, arguments):
    _, out, _ = run(capsys, *arguments, "--json")
    figures = json.loads(out.splitlines()[-1])
    assert figures["provenance"]["skiploop"] and figures["provenance"]["torch"]
    assert "time" not in figures["provenance"]
    assert set(figures["timing"]) == {"made_at"}


def test_a_wrong_program_is_told_before_the_model_is_looked_for(capsys):
    line = error_line(capsys, "generate", "2 + 3 =", "--program", "3:5", "--model", "no-such-model")
    assert "is not START:STOPxRUNS" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--abstain-below", "0.4"], "--abstain-below is about the weight of a vote: give --vote"),
        (["--abstain-below", "1.5", "--vote", "3"], "'--abstain-below': Input should be less"),
        (["--abstain-below", "-0.1", "--vote", "3"], "'--abstain-below': Input should be greater"),
        (["--abstain-below", "sure", "--vote", "3"], "'--abstain-below': Input should be a valid"),
        (["--abstain-below", "nan", "--vote", "3"], "'--abstain-below': Input should be less"),
    ],
)
def test_only_a_vote_abstains_and_below_a_share_of_its_weight(capsys, arguments, message):
    line = error_line(capsys, "generate", "2 + 3 =", *arguments, "--policy", "no-such-run")
    assert message in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a prompt to continue or a question to --ask"),
        (["2 + 3 =", "--ask", "2 + 3"], "give a prompt to continue or a question to --ask"),
        (["--ask", "2 + 3"], "give --policy too"),
        (["--ask", ""], "give --policy too"),
        (["--ask", "2 + 3", "--policy", "RUN", "--stop", "x"], "leave out --stop and --max-new"),
        (["--ask", "2", "--policy", "RUN", "--max-new-tokens", "3"], "leave out --stop and --max"),
        (
            ["--ask", "2 + 3", "--policy", "smollm2-135m/arithmetics"],
            "did you mean 'smollm2-135m/a",
        ),
        (["2 + 3 =", "--policy", "no-such-run"], "unknown policy or run folder 'no-such-run'"),
        (["--ask", " ", "--policy", "smollm2-135m/arithmetic"], "the question is empty"),
    ],
)
def test_a_question_to_ask_needs_a_policy_that_knows_its_form(capsys, arguments, message):
    assert message in error_line(capsys, "generate", *arguments, "--model", "no-such-model")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--policy", "RUN"], "give a prompt to choose a program for, or a question to --ask"),
        (["a", "--ask", "b", "--policy", "RUN"], "or a question to --ask"),
        (["a"], "Missing option '--policy'"),
        (["a", "--policy", "no-such-run"], "unknown policy or run folder 'no-such-run'"),
        (["--ask", " ", "--policy", "smollm2-135m/arithmetic"], "the question is empty"),
    ],
)
def test_what_cannot_be_traced_is_refused_before_a_model_is_loaded(capsys, arguments, message):
    assert message in error_line(capsys, "trace", *arguments, "--model", "no-such-model")


def test_doctor_refuses_a_device_that_is_not_there(capsys):
    assert "unknown device 'abacus'" in error_line(capsys, "doctor", "--device", "abacus")


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        (["--full"], "runs/demo/full"),
        (["--full", "--quick"], "runs/demo/quick"),
        (["--full", "--quick", "--out", "mine"], "mine"),
        (["--full", "--out", "mine"], "mine"),
        ([], "runs/demo/words"),
        (["--out", "mine"], "mine/words"),
    ],
)
def test_the_demo_writes_where_it_is_told(capsys, monkeypatch, tmp_path, arguments, folder):
    monkeypatch.chdir(tmp_path)
    Path(folder).mkdir(parents=True)
    Path(folder, "config.json").write_text('{"run": {"task": "gsm8k"}}')
    code, out, err = run(capsys, "demo", *arguments)
    assert code == 2 and out == "" and "Traceback" not in err
    assert f"{folder} was made with another" in err.splitlines()[-1]


def test_only_the_long_demo_has_settings(capsys):
    line = error_line(capsys, "demo", "--quick", "--seed", "0", "--set", "search.budget=3")
    assert "--quick, --seed, --set: only the long way has settings, give --full too" in line
    assert "No such option" in error_line(capsys, "demo", "--limit", "3")


def test_a_terminal_that_knows_no_dash_gets_a_question_mark(tmp_path):
    lines = [{"question": f"caf\u00e9 {i}?", "answer": "yes"} for i in range(60)]
    questions = tmp_path / "q.jsonl"
    questions.write_text("".join(json.dumps(line) + "\n" for line in lines))
    code = "from skiploop.cli.main import run; run()"
    command = [sys.executable, "-c", code, "tasks", f"jsonl:{questions}"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "caf? " in done.stdout


def test_the_client_of_the_hub_is_quiet_in_every_command():
    code = (
        "import logging\nfrom skiploop.cli.main import main\n"
        "main(['tasks', 'arithmetic'])\nimport huggingface_hub\n"
        "assert not logging.getLogger('huggingface_hub.utils').isEnabledFor(logging.WARNING)\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "HF_HUB_VERBOSITY"}
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=environment)


def test_what_was_stored_before_counts_as_done():
    progress = TrialProgress(None, "search", total=10, stored=lambda: 7)
    assert progress.summary() == "7 of 10 trials"


def test_a_total_that_is_known_late_counts_what_was_done_before():
    progress = TrialProgress(None, "evaluate")
    progress.n_trials = 5
    progress.expect(20)
    assert progress.total == 25


def test_an_error_with_json_is_an_object_on_stdout_too(capsys):
    code, out, err = run(capsys, "show", "3:5", "--json")
    told = json.loads(out)
    assert code == told["exit_code"] == 2 and told["kind"] == "ProgramError"
    assert err == f"skiploop: {told['error']}\n"
    code, out, _ = run(capsys, "show", "identity", "--lyers", "3", "--json")
    assert code == 2 and "--lyers" in json.loads(out)["error"]


def test_habits_of_the_command_line(capsys):
    assert run(capsys, "--version") == (0, f"skiploop {skiploop.__version__}\n", "")
    for command in ((), ("show",), ("menu",), ("menu", "build")):
        assert run(capsys, *command, "-h") == run(capsys, *command, "--help")
    code, out, _ = run(capsys, "menu")
    assert code == 0 and "Commands:" in out


def test_the_module_runs_and_a_shell_can_complete_its_commands():
    environment = {
        **os.environ,
        "_SKIPLOOP_COMPLETE": "complete_bash",
        "COMP_WORDS": "skiploop sea",
        "COMP_CWORD": "1",
    }
    command = [sys.executable, "-m", "skiploop"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["search"]


def test_a_reader_that_has_enough_is_no_error():
    command = [sys.executable, "-m", "skiploop", "tasks", "arithmetic", "--limit", "2000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_a_home_folder_is_read_in_every_path(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    line = {"question": "2 + 2", "answer": 4}
    questions = tmp_path / "q.jsonl"
    questions.write_text(
        "".join(
            json.dumps({**line, "question": f"{i} + 2 - {i}", "answer": 2}) + "\n" for i in range(9)
        )
    )
    code, out, _ = run(
        capsys,
        "tasks",
        "jsonl:~/q.jsonl",
        "--option",
        "shots=0",
        "--option",
        "test=0",
        "--option",
        "validation=0",
    )
    assert code == 0 and "+ 2 -" in out
    for command in (
        ("search", "--out=~/x/run", "--config=~/no.yaml"),
        ("train", "--config=~/no.yaml", "--run=~/x"),
    ):
        assert str(tmp_path / "no.yaml") in error_line(capsys, *command)
    assert str(tmp_path / "x") in error_line(capsys, "report", "~/x")
    assert "~" not in error_line(capsys, "train", "--run=~/x")


def test_questions_to_show_that_nobody_asked_for_are_at_most_what_there_is(capsys, tmp_path):
    questions = tmp_path / "q.jsonl"
    questions.write_text('{"question": "2 + 2", "answer": 4}\n')
    shown = ("tasks", f"jsonl:{questions}", "--option", "shots=0", "--option", "test=0")
    shown += ("--option", "validation=0")
    code, out, _ = run(capsys, *shown)
    assert code == 0 and out.count("---") == 1
    assert "has 1 questions in 'train', asked for 2" in error_line(capsys, *shown, "--limit", "2")


def test_every_option_that_takes_a_path_reads_a_home_folder():
    menu = next(group.typer_instance for group in app.registered_groups if group.name == "menu")
    paths = [
        info
        for command in [*app.registered_commands, *menu.registered_commands]
        for hint in typing.get_type_hints(command.callback, include_extras=True).values()
        if "pathlib" in str(typing.get_args(hint)[:1])
        for info in typing.get_args(hint)[1:]
    ]
    assert len(paths) > 10 and {info.parser for info in paths} == {at_home}
