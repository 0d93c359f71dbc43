"""Nothing that is read can run code: no pickle anywhere, no code that comes with weights."""

import ast
import pickle
from pathlib import Path

import skiploop
from skiploop.cli.main import main

SOURCES = sorted(Path(skiploop.__file__).parent.rglob("*.py"))
UNSAFE_MODULES = {
    "cloudpickle",
    "dill",
    "joblib",
    "marshal",
    "multiprocessing",  # sends pickles between processes
    "pickle",
    "shelve",
}
UNSAFE_CALLS = {"torch.load", "np.load", "numpy.load", "yaml.load", "yaml.unsafe_load", "eval"}


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""


def called(tree):
    return (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))


def test_no_module_can_read_a_pickle():
    assert len(SOURCES) > 100
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        modules = {name.partition(".")[0] for name in imported(tree)}
        assert UNSAFE_MODULES.isdisjoint(modules) and UNSAFE_CALLS.isdisjoint(called(tree)), path


def test_no_code_that_comes_with_weights_runs_unless_it_is_asked_for():
    n_defaults = 0
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
                assert ast.unparse(node.value) in {"False", "trust_remote_code"}, path
            if isinstance(node, ast.FunctionDef):
                names = [argument.arg for argument in node.args.kwonlyargs]
                for name, default in zip(names, node.args.kw_defaults, strict=True):
                    if name == "trust_remote_code" and default is not None:
                        assert ast.unparse(default) == "False", path
                        n_defaults += 1
    assert n_defaults >= 2


def test_a_run_from_search_to_report_reads_no_pickle(llama_folder, tmp_path, monkeypatch):
    def refuse(*_arguments, **_settings):
        raise AssertionError("a pickle is read")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    what = ["--model", llama_folder, "--level", "2", "--out", str(tmp_path / "run")]
    sizes = ["--size", "3", "--race-questions", "8", "--limit", "60", "--first-layer", "1"]
    run = ["--run", str(tmp_path / "run")]
    assert main(["search", *what, "--limit", "4", "--budget", "2"]) == 0
    assert main(["menu", "build", *what, *sizes]) == 0
    assert main(["train", "--method", "selector", *run]) == 0
    assert main(["evaluate", *run, "--policy", "selector,static", "--limit", "4"]) == 0
