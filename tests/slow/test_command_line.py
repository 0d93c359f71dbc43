"""The commands on the packaged model, as a user types them."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from skiploop.cli.main import main
from skiploop.runs.session import Run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SEARCH = ["search", "--task", "arithmetic", "--level", "1", "--limit", "6", "--budget", "3"]
SKIPLOOP = [sys.executable, "-c", "from skiploop.cli.main import run; run()"]


def run(capsys, *arguments):
    """Run one command; return the JSON object on its last line."""
    code = main([*arguments, "--json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return json.loads(captured.out.splitlines()[-1])


def without_timing(figures):
    return {k: v for k, v in figures.items() if k not in ("timing", "run", "provenance")}


def test_search_train_evaluate_makes_a_report_and_repeats_itself(capsys, tmp_path):
    figures = []
    for name in ("a", "b"):
        out = str(tmp_path / name)
        found = run(capsys, *SEARCH, "--out", out)
        assert found["search_table"]["base"]["total"] == 6
        assert found["search_table"]["n_evaluations"] == 6 * 4
        assert found["provenance"]["dtype"] == "float32"
        run(capsys, "train", "--run", out, "--epochs", "2", "--batch-size", "8")
        report = run(capsys, "evaluate", "--run", out, "--limit", "8", "--k", "2")
        assert [row["policy"] for row in report["policies"]] == [
            "identity",
            "polar",
            "static",
            "random",
        ]
        assert set(report["timing"]["ratio_to_identity"]) == {
            "identity",
            "polar",
            "static",
            "random",
        }
        html = (tmp_path / name / "report" / "index.html").read_text()
        assert "oracle" in html and "http" not in html.replace("http-equiv", "")
        figures.append((without_timing(found), without_timing(report)))
    assert figures[0] == figures[1]

    again = run(capsys, *SEARCH, "--out", str(tmp_path / "a"))
    assert without_timing(again) == figures[0][0]

    assert main([*SEARCH, "--budget", "4", "--out", str(tmp_path / "a")]) == 2
    assert "budget: 3 in the run, 4 asked" in capsys.readouterr().err
    assert main(["evaluate", "--run", str(tmp_path / "a"), "--policy", "polr"]) == 2
    assert "did you mean 'polar'" in capsys.readouterr().err


def test_a_menu_teaches_a_selector_that_is_judged_and_used(capsys, tmp_path):
    out = str(tmp_path / "run")
    build = [
        "menu",
        "build",
        "--level",
        "2",
        "--size",
        "4",
        "--race-questions",
        "8",
        "--limit",
        "50",
    ]
    made = run(capsys, *build, "--max-edits", "1", "--out", out)
    assert made["programs"][0] == "identity" and len(made["programs"]) == 4
    assert made["oracle_coverage"] == sorted(made["oracle_coverage"])
    assert run(capsys, "menu", "show", "--run", out)["programs"] == made["programs"]
    curve = run(capsys, "menu", "curve", "--run", out)
    assert curve["oracle_coverage"] == made["oracle_coverage"]
    learned = run(capsys, "train", "--method", "selector", "--run", out)
    assert learned["selector"]["n_questions"] == 50 and learned["selector"]["layer"] >= 4
    names = ["selector", "selector:29", "vote:3", "sample:3", "shuffled"]
    asked = ["evaluate", "--run", out, "--limit", "8", "--k", "1", "--policy", ",".join(names)]
    judged = run(capsys, *asked, "--no-controls")
    assert [row["policy"] for row in judged["policies"]] == ["identity", *names]
    judged = run(capsys, *asked)
    controls = ["surface", "shuffled:open"]
    assert [row["policy"] for row in judged["policies"]] == ["identity", *names, *controls]
    written = run(capsys, "generate", "2 + 3 = ", "--policy", out, "--vote", "3")
    assert len(written["completions"]) == 1
    assert written["completions"][0]["program"] in made["programs"]
    assert written["abstained"] is False and 0 < written["confidence"] < 1
    asked = ["generate", "2 + 3 = ", "--policy", out, "--vote", "3", "--abstain-below", "1"]
    assert main(asked) == 0
    silent = capsys.readouterr()
    assert silent.out == "" and "no answer is sure enough" in silent.err


def test_the_demo_compares_searches_and_goes_on_where_it_stopped(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("skiploop.cli.demo.N_WORDS", 24)
    monkeypatch.setattr("skiploop.cli.demo.N_ARITHMETIC", 24)
    monkeypatch.setattr("skiploop.cli.demo.BUDGET", 4)
    first = run(capsys, "demo", "--out", str(tmp_path))
    words, arithmetic = first["comparisons"]
    assert (words["policy"], words["paired"]["total"]) == ("smollm2-135m/words", 24)
    assert (arithmetic["policy"], arithmetic["n_layers"]) == ("smollm2-135m/arithmetic", 30)
    assert len(first["search"]["programs"]) == 5
    runs = [Run.open(tmp_path / task) for task in ("words", "arithmetic")]
    n_trials = [one.n_trials for one in runs]
    assert without_timing(run(capsys, "demo", "--out", str(tmp_path))) == without_timing(first)
    assert [one.n_trials for one in runs] == n_trials


def test_ctrl_c_says_what_was_done_and_how_to_go_on_and_loses_nothing(capsys, tmp_path):
    command = [*SKIPLOOP, *SEARCH, "--budget", "40", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    trials = tmp_path / "trials.sqlite-wal"
    deadline = time.monotonic() + 120
    while not (trials.exists() and trials.stat().st_size > 40_000):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted after" in err and "go on with: skiploop search" in err
    assert "Traceback" not in err

    with sqlite3.connect(tmp_path / "trials.sqlite") as store:
        (n_trials,) = store.execute("SELECT count(*) FROM trials").fetchone()
    assert n_trials >= 6


def test_generate_runs_several_programs(capsys):
    figures = run(
        capsys,
        "generate",
        "2 + 3 =",
        "--program",
        "identity",
        "--program",
        "20:22x0",
        "--stop",
        "\n",
    )
    assert [c["program"] for c in figures["completions"]] == ["identity", "20:22x0"]
    assert main(["generate", "2 + 3 =", "--program", "31:32x0"]) == 2
    assert "the last of 30" in capsys.readouterr().err


def test_multiple_choice_runs_by_likelihood(capsys, tmp_path):
    lines = [
        {"question": f"Is {i} even or odd?", "choices": ["even", "odd"], "answer": i % 2}
        for i in range(60)
    ]
    file = tmp_path / "choices.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = str(tmp_path / "run")
    found = run(
        capsys, "search", "--task", f"jsonl:{file}", "--limit", "5", "--budget", "2", "--out", out
    )
    assert found["search_table"]["n_ungraded_examples"] == 0
    report = run(capsys, "evaluate", "--run", out, "--policy", "static", "--limit", "5", "--k", "1")
    assert report["policies"][0]["n_ungraded"] == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_one_line(capsys, tmp_path):
    tmp_path.chmod(0o500)
    assert main([*SEARCH, "--out", str(tmp_path / "run")]) == 2
    assert "cannot make the run folder" in capsys.readouterr().err


def test_a_full_disk_is_one_line_and_loses_nothing(capsys, tmp_path):
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))\n"
        "from skiploop.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", code, *SEARCH, "--budget", "20", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stderr.splitlines() if "cannot" in line]
    assert done.returncode == 2 and len(lines) == 1, done.stderr
    assert "free disk space" in lines[0] and "Traceback" not in done.stderr
