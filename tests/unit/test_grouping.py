"""Which prompts run together: parts are cut where they share more than the whole."""

from dataclasses import replace
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from skiploop.engine.batching import rows as batching
from skiploop.engine.batching.grouping import alike
from skiploop.engine.batching.rows import Row
from skiploop.engine.tuning import CPU
from skiploop.programs.program import Program

PROGRAMS = [Program.parse(text, 6) for text in ("identity", "1:3x2", "4:5x0")]


def rows_of(prompts):
    pairs = [(tuple(tokens), program) for tokens in prompts for program in PROGRAMS]
    return [Row(index, tokens, program) for index, (tokens, program) in enumerate(pairs)]


def parts_of(rows, call_tokens=0):
    """Return the parts of a call, where a layer call costs as much as so many tokens in a layer."""
    stack = SimpleNamespace(exact=False, attends_fully=True)
    stack.tuning = replace(CPU, call_flops=call_tokens * batching.token_flops(stack))
    return alike(stack, rows)


def test_two_kinds_of_prompts_with_long_starts_are_taken_apart():
    prompts = [[kind] * 20 + [n, n] for n in range(5) for kind in (1, 2)]
    parts = parts_of(rows_of(prompts))
    assert [len(part) for part in parts] == [15, 15]
    assert [{row.tokens[0] for row in part} for part in parts] == [{1}, {2}]


def test_parts_that_would_save_too_little_for_their_own_calls_stay_together():
    prompts = [[kind] * 20 + [n, n] for n in range(5) for kind in (1, 2)]
    n_saved = 20 * (5 - 1) * len({p.path[:n] for p in PROGRAMS for n in range(1, p.n_slots + 1)})
    n_calls = 2 * max(program.n_slots for program in PROGRAMS)
    assert len(parts_of(rows_of(prompts), n_saved // n_calls)) == 2
    assert len(parts_of(rows_of(prompts), n_saved // n_calls + 1)) == 1


def test_a_kind_of_few_prompts_stays_with_those_that_share_nothing():
    prompts = [[1] * 20 + [n, n] for n in range(5)] + [[2] * 20 + [0, 0]]
    prompts += [[n] * 21 for n in range(3, 6)]
    parts = parts_of(rows_of(prompts), 4)
    assert [sorted({row.tokens[0] for row in part}) for part in parts] == [[1], [2, 3, 4, 5]]


def test_prompts_whose_ends_begin_alike_stay_together():
    prompts = [[7] * 20 + [n % 3, n, n] for n in range(9)]
    assert len(parts_of(rows_of(prompts))) == 1


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), min_size=1, max_size=8))
def test_every_row_is_in_one_part(prompts):
    rows = rows_of(prompts)
    parts = parts_of(rows)
    assert sorted(row.index for part in parts for row in part) == [row.index for row in rows]
