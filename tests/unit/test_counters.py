"""Counts of what was computed, and of what had to be."""

import importlib.util
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from skiploop.engine.counters import Work

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

sequences = st.lists(st.integers(0, 2), max_size=5)


@given(st.lists(st.tuples(sequences, sequences), max_size=6))
def test_every_different_pair_of_beginnings_is_necessary_once(rows):
    products = {
        (tuple(tokens[: i + 1]), tuple(path[: j + 1]))
        for tokens, path in rows
        for i in range(len(tokens))
        for j in range(len(path))
    }
    spec = importlib.util.spec_from_file_location("necessary", BENCHMARKS / "necessary.py")
    necessary = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(necessary)
    assert necessary.n_necessary(rows) == len(products)


def test_counts_add_up():
    work = Work()
    work.note_call(3, 5)
    work.note_call(1, 2)
    work.note_cache(70)
    work.note_cache(40)
    assert (work.n_layer_tokens, work.mean_rows) == (17, 2.0)
    assert work.to_json()["peak_cache_bytes"] == 70
    assert Work().mean_rows == 0
