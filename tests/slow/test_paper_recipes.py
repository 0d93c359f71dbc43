"""The recipes of the paper's tables, from end to end on a tiny model of the same family."""

import copy
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import families
import pytest

from skiploop.evaluation.comparison import Comparison

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
FAMILIES = {
    "llama-3.2-3b": "llama",
    "qwen1.5-moe-a2.7b": "qwen2_moe",
    "qwen2.5-7b": "qwen2",
    "qwen3-8b": "qwen3",
}
SMALL = {
    "search.limit": 12,
    "search.budget": 2,
    "menu.limit": 60,
    "menu.race_questions": 4,
    "menu.size": 6,
    "menu.max_edits": 1,
    "menu.max_block": 2,
    "menu.first_layer": 1,
    "train.epochs": 1,
}
BOXES = [f"{left}\\boxed{{{number}}}" for number in (0, 1) for left in ("", " ", "is ", "= ", "$")]
"""Tokens of the tiny model, all that no other text has: it is often right by chance."""

HUB = f"""
import importlib.util, sys

made = importlib.util.spec_from_file_location("made", {str(ROOT / "tests/data/hub/datasets.py")!r})
rows = importlib.util.module_from_spec(made)
made.loader.exec_module(rows)


def load_dataset(*where, **options):
    table = rows.load_dataset(*where, **options)
    for number, row in enumerate(table.rows):
        for name in {{"gt_ans", "answer", "result"}} & set(row):
            row[name] = str(number % 2)
    return table
"""
"""A module `datasets` of made rows whose right answers are small numbers."""

every_recipe = pytest.mark.parametrize("recipe", FAMILIES)


def run_recipe(recipe, folder, *options):
    """Run a recipe on a tiny model, with made rows in place of those of the hub."""
    model = folder / "model"
    if not model.exists():
        tiny = families.build(FAMILIES[recipe])
        tiny.config.max_position_embeddings = 2048
        tiny.save_pretrained(model)
        tokenizer = copy.deepcopy(families.tokenizer())
        assert tokenizer.add_tokens(BOXES) == len(BOXES)
        tokenizer.save_pretrained(model)
        (folder / "hub").mkdir()
        (folder / "hub" / "datasets.py").write_text(HUB)
    small = [part for name, value in SMALL.items() for part in ("--set", f"{name}={value}")]
    given = ["--model", model, "--dtype", "float32", "--device", "cpu", "--limit", 3, *small]
    paths = [ROOT / "src", folder / "hub"]
    binaries = [Path(sys.executable).parent, os.environ["PATH"]]
    return subprocess.run(
        list(
            map(
                str, ["bash", ROOT / f"recipes/paper-{recipe}.sh", folder / "out", *given, *options]
            )
        ),
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "PATH": os.pathsep.join(map(str, binaries)),
        },
    )


def test_every_recipe_of_a_table_is_tested():
    found = {path.stem.removeprefix("paper-") for path in (ROOT / "recipes").glob("paper-*.sh")}
    assert found == set(FAMILIES)
    assert shutil.which("bash")


@every_recipe
def test_an_estimate_counts_all_comparisons_and_starts_nothing(recipe, tmp_path):
    done = run_recipe(recipe, tmp_path, "--estimate", "--rate", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("all 6 comparisons: ") and "GB on disk" in done.stdout
    assert not (tmp_path / "out").exists()


def test_an_estimate_that_is_refused_says_why_once_and_sums_nothing(tmp_path):
    done = run_recipe("qwen3-8b", tmp_path, "--estimate", "--rate", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1 and "--rate 0.0 is no rate" in done.stderr


@every_recipe  # a minute or two each
def test_a_recipe_makes_its_table_in_and_out_of_distribution(recipe, tmp_path):
    done = run_recipe(recipe, tmp_path)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    found = {
        folder.name: [Comparison.load(path) for path in sorted((folder / "compare").iterdir())]
        for folder in sorted(out.glob("dm-*"))
    }
    tasks = {name: {one.task for one in inner} for name, inner in found.items()}
    assert tasks == {
        **{f"dm-{level}": {f"dart-math-{level}"} for level in range(1, 6)},
        "dm-all": {"dart-math-1+2+3+4+5", "asdiv", "mawps", "mmlu-pro"},
    }
    for one in (one for inner in found.values() for one in inner):
        assert one.n_questions == 3 and one.n_read_before == 0
        assert one.is_in_distribution == one.task.startswith("dart-math")
        assert one.rows[0].method == "identity" and len(one.rows) >= 5
    n_rows = (out / "page" / "index.html").read_text().count("data-method")
    assert n_rows == sum(len(one.rows) for inner in found.values() for one in inner)
    assert json.loads((out / "dm-1" / "config.json").read_text())["search"]["budget"] == 2
