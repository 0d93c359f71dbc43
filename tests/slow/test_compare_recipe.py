"""The recipe of the tables of small models: what it takes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RATE_OF_TWO_CORES = 0.2


MIXED = ["arithmetic", "word-sets", "word-problems", "commonsense"]
FILES = {"multiarith": 500, "svamp": 500, "commonsenseqa-dev": 1000}
WORDS = [
    *("adjective_v_verb_3", "alphabetically_first_3", "animal_v_object_3", "choose_middle_of_3"),
    *("color_v_animal_3", "concept_v_object_3", "english-french", "fruit_v_animal_3"),
    *("landmark-country", "national_parks", "present-past", "singular-plural"),
]


def made_questions(folder):
    """Write the files that a recipe names, with questions of their own."""
    (folder / "words").mkdir(parents=True)
    sizes = FILES | dict.fromkeys([f"words/{name}" for name in WORDS], 100)
    for name, n_questions in sizes.items():
        lines = []
        for i in range(n_questions):
            line = {"question": f"What does number {i} of {name} say?", "answer": str(i)}
            if name == "commonsenseqa-dev":
                line |= {"choices": ["no", f"{i}", "who knows"], "answer": i % 3}
            lines.append(json.dumps(line))
        (folder / f"{name}.jsonl").write_text("\n".join(lines))


def estimate(table, *places):
    """Return what the recipe says that a table would take."""
    asked = ["--estimate", "--json", "--rate", RATE_OF_TWO_CORES]
    binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", ROOT / "recipes/compare.sh", table, *map(str, [*places, *asked])],
        env={**os.environ, "PATH": binaries, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout[done.stdout.index("\n{") :])


@pytest.mark.parametrize("table", ["words", "slow"])
def test_a_table_is_estimated_at_less_than_an_hour_on_two_cores(table, tmp_path):
    assert estimate(table, tmp_path / "run")["hours"] < 1


@pytest.mark.parametrize("table", MIXED)
def test_what_a_table_learned_is_judged_on_its_task_and_on_three_others(table, tmp_path):
    made_questions(tmp_path / "my questions")
    found = estimate(table, tmp_path / "run", tmp_path / "my questions")
    parts = [part["what"] for part in found["parts"]]
    asked = {name for name in parts if not name.startswith(("menu", "making"))}
    assert len(asked) == len(MIXED)
    assert found["hours"] < 1
