"""Which pairs of a question and a program workers get together."""

from collections import Counter

import pytest

from skiploop import Program
from skiploop.policies.rys import one_block_repeats
from skiploop.trials.handing import PROGRAMS_TOGETHER, bundles, filled

N_LAYERS = 30
MANY = [Program.identity(N_LAYERS), *one_block_repeats(N_LAYERS)]


def jobs(n_questions, programs, most):
    keys = [(f"q{number}", program) for program in programs for number in range(n_questions)]
    found = [job for bundle in bundles(keys, most) for job in filled(bundle, most)]
    assert Counter(key for job in found for key in job) == Counter(keys)
    assert all(0 < len(job) <= most for job in found)
    return found


@pytest.mark.parametrize("n_programs", [1, 10, PROGRAMS_TOGETHER])
def test_questions_with_few_programs_stay_whole(n_programs):
    for job in jobs(50, MANY[:n_programs], 256):
        assert set(Counter(example_id for example_id, _ in job).values()) == {n_programs}


def test_many_programs_are_split_so_that_a_job_has_several_questions():
    found = jobs(8, MANY, 256)
    assert len(found) == -(-len(MANY) // 32)
    for job in found:
        assert len({example_id for example_id, _ in job}) == 8


def test_what_programs_have_in_common_is_hardly_less_in_a_job_than_in_all():
    def n_different(programs):  # layer passes, what several programs start with counted once
        paths = [program.path for program in programs]
        return len({path[:n] for path in paths for n in range(1, len(path) + 1)})

    of_jobs = sum(n_different({one for _, one in job}) for job in jobs(8, MANY, 256))
    assert n_different(MANY) < of_jobs < 1.05 * n_different(MANY)


def test_one_question_fills_its_jobs_and_none_has_none():
    assert [len(job) for job in jobs(1, MANY, 256)] == [256, len(MANY) - 256]
    assert jobs(0, MANY, 256) == []
