"""Families that call their layers in unusual ways: right as they are, or refused by name."""

import importlib
import sys
from pathlib import Path

import pytest

from skiploop.errors import BatchError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def sweep():
    """The script that goes over all families."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec = importlib.util.spec_from_file_location("sweep", BENCHMARKS / "families.py")
        sweep = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sweep)
    finally:
        sys.path.remove(str(BENCHMARKS))
    return sweep


@pytest.mark.parametrize(
    ("family", "way"),
    [
        ("bloom", "PADDED"),  # one bias for each head of each row, layers that return tuples
        ("mpt", "PADDED"),  # one bias for each head, for all rows
        ("gpt_bigcode", "PADDED"),  # puts the states back into the shape of the tokens
        ("bamba", "PADDED"),  # unpacks two values from each layer
        ("modernbert-decoder", "PADDED"),  # another module is called `decoder`
        ("bert", "PADDED"),  # the owner of the layers takes no tokens
        ("xglm", "PADDED"),  # asks for a mask with as many rows as states
        ("roberta", "EQUAL"),  # counts its positions from two
        ("bart", "EQUAL"),  # takes no positions
        ("minimax", "RECOMPUTED"),  # has a cache of its own
        ("mamba", "RECOMPUTED"),  # takes its cache by another name
        ("openai-gpt", "RECOMPUTED"),  # has no cache, and layers that return lists
    ],
)
def test_a_family_is_right_in_its_way(sweep, family, way):
    found = sweep.judge(family)
    verdicts = [found[name] for name in sweep.CHECKS]
    view = verdicts.pop()
    assert all(verdict == ("right", "") for verdict in verdicts), verdicts
    assert view[0] in ("right", "refused"), view
    assert found["way"] == way


@pytest.mark.parametrize(
    ("family", "reason"),
    [
        ("rwkv", "changes hidden states between its layers"),
        ("mllama", "runs only 3 of its 4 layers"),
        ("xlm", "are not found"),
        ("prophetnet", "fails the check at load"),
    ],
)
def test_a_family_is_refused_by_name(sweep, family, reason):
    found = sweep.judge(family)
    verdicts = [found[name] for name in sweep.CHECKS]
    assert all(verdict[0] == "refused" and reason in verdict[1] for verdict in verdicts), verdicts


def test_a_prompt_that_needs_more_positions_than_are_learned_is_refused(sweep):
    judged = sweep.Judged("roberta")  # whose positions start at two, behind the padding
    judged.load()
    longest = judged.model.config.max_position_embeddings - 1
    text = "a" * (longest - 1)
    assert judged.stack.generate([text[:-1]], sweep.PLAIN, max_new_tokens=1)
    with pytest.raises(BatchError, match=f"takes {longest} in all"):
        judged.stack.generate([text], sweep.PLAIN, max_new_tokens=2)
