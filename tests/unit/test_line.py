"""Who is let in next."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from skiploop.server.line import PATIENCE, Line


@dataclass(eq=False)
class Guest:
    size: int
    n_tokens: int = 1
    n_passed: int = 0


def line_of(*sizes, n_tokens=1):
    line = Line()
    for size in sizes:
        line.add(Guest(size, n_tokens))
    return line


def within(room):
    return lambda some: sum(one.size for one in some) <= room


def sizes(guests):
    return [one.size for one in guests]


def test_guests_come_in_as_they_came_as_many_as_fit():
    line = line_of(3, 2, 1, 1)
    assert sizes(line.take(within(5), 9, 99)) == [3, 2]
    assert sizes(line) == [1, 1]
    assert sizes(line.take(within(5), 1, 99)) == [1]


def test_a_small_guest_passes_a_large_one_for_a_while_only():
    line = line_of(9)
    for n in range(2 * PATIENCE):
        line.add(Guest(1))
        taken = line.take(within(5), 9, 99)
        assert sizes(taken) == ([1] if n < PATIENCE else [])
    assert sizes(line.take(within(9), 9, 99)) == [9]


def test_prompts_that_are_long_together_come_one_after_the_other():
    line = line_of(1, 1, 1, n_tokens=60)
    assert len(line.take(within(9), 9, 100)) == 1
    assert len(line.take(within(9), 9, 120)) == 2


def test_those_who_leave_are_told():
    line = line_of(1, 2, 3)
    assert sizes(line.leave(lambda one: one.size == 2)) == [2]
    assert sizes(line) == [1, 3] and len(line) == 2


@given(st.lists(st.integers(1, 10), max_size=60), st.integers(1, 4))
def test_whoever_fits_into_an_empty_room_comes_in_at_last(guests, most):
    line, inside, n_turns = line_of(*guests), [], 0
    while len(line):
        held = sum(one.size for one in inside)
        taken = line.take(lambda some, held=held: held + sum(sizes(some)) <= 10, most, 99)
        inside = [*inside[1:], *taken]
        n_turns += 1
        assert n_turns <= 60 * PATIENCE
