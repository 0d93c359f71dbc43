"""Which pairs of a question and a program workers get together."""

import json
from collections import Counter
from types import SimpleNamespace

import pytest
import torch

from skiploop import Program
from skiploop.engine.tuning import tuning_of
from skiploop.policies.rys import one_block_repeats
from skiploop.tasks import get_task
from skiploop.trials.handing import PROGRAMS_TOGETHER, HandingRunner, bundles, filled

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


def test_a_job_has_questions_of_one_kind_which_share_solved_questions(tmp_path):
    for kind in ("first", "last"):
        lines = ({"question": f"{kind} of {n} {n + 1}", "answer": str(n)} for n in range(150))
        (tmp_path / f"{kind}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    task = get_task(f"mix:jsonl:{tmp_path}/first.jsonl+jsonl:{tmp_path}/last.jsonl")
    asked = []
    backend = SimpleNamespace(map=lambda jobs: asked.extend(job.asked() for job in jobs) or ())
    stack = SimpleNamespace(tuning=tuning_of(torch.device("cpu")), n_layers=N_LAYERS)
    runner = HandingRunner(stack, task, None, None, backend=backend, about={})
    in_turns = task.examples("train", 128)
    assert len({one.category for one in in_turns[:2]}) == 2
    assert not [*runner.stream_grades([(one, p) for one in in_turns for p in MANY[:16]])]
    assert len(asked) > 2
    for job in asked:
        assert len({example["category"] for example in job["examples"]}) == 1
