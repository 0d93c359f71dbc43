"""The examples run as they are, each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "first_look.ipynb"
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def test_there_are_six_and_each_fits_on_a_screen():
    assert len(EXAMPLES) == 6
    assert all(len(example.read_text().splitlines()) <= 60 for example in EXAMPLES)


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_an_example_runs_and_prints_something(example, tmp_path):
    done = subprocess.run(
        [sys.executable, str(example)],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def printed(notebook):
    """Return what each cell of a notebook prints."""
    return [
        "".join(one.text for one in cell.get("outputs", ()) if one.get("name") == "stdout")
        for cell in notebook.cells
    ]


@pytest.mark.slow
def test_the_notebook_prints_what_it_shows_and_ends_with_a_picture(tmp_path):
    import nbformat  # of the extra dev
    from nbclient import NotebookClient

    shown = nbformat.read(NOTEBOOK, as_version=4)
    done = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(done, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert printed(done) == printed(shown)
    (*_, drawn, _) = done.cells
    assert "<svg" in drawn.outputs[0].data["image/svg+xml"]
