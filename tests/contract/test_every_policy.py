"""What every policy must keep, whatever it chooses by."""

import shutil
from functools import cache

import planted
import pytest

from skiploop import Program
from skiploop.errors import BatchError, ConfigError, RunError, UnknownNameError
from skiploop.evaluation.records import read_records, write_records
from skiploop.runs.making import make_policies
from skiploop.runs.policies import POLICIES, checked_name, find
from skiploop.runs.run import Run
from skiploop.shipped import shipped_policies

PATTERNS = {
    "fixed:PROGRAM": "fixed:2:4x2",
    "selector:LAYERS": "selector:5.5",
    "vote:K": "vote:3",
    "majority:K": "majority:3",
    "learned:K": "learned:3",
    "sample:K": "sample:3",
}
"""By pattern of names, a policy of it."""

N_QUESTIONS = 6
K = 4

every_policy = pytest.mark.parametrize("name", [*POLICIES, *PATTERNS.values()])


@cache
def run():
    return Run.open(planted.finished_run())


@cache
def made(name):
    return make_policies([checked_name(name)], run(), None)[0]


@cache
def prompts():
    return [run().task.prompt(example) for example in run().task.examples("test", N_QUESTIONS)]


def n_programs(name):
    """Return how many programs a policy may give at most: the voters, or what it is asked for."""
    kind, _, number = name.partition(":")
    return int(number) if kind in ("vote", "majority", "learned") else K


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Return the records of an evaluation; where there are choices, no policy draws samples."""
    copied = shutil.copytree(run().folder, tmp_path_factory.mktemp("evaluated") / "run")
    names = [*POLICIES, *(name for pattern, name in PATTERNS.items() if pattern != "sample:K")]
    asked = ["--policy", ",".join(names), "--limit", N_QUESTIONS, "--k", K]
    planted.command("evaluate", "--run", copied, *asked)
    return read_records(copied / "records.jsonl")


def test_every_policy_and_every_pattern_of_names_is_tested():
    with pytest.raises(UnknownNameError, match="Known: ") as error:
        checked_name("nobody")
    known = str(error.value).rpartition("Known: ")[2].split(", ")
    assert sorted(known) == sorted([*POLICIES, *PATTERNS, *shipped_policies()])


@every_policy
def test_every_prompt_gets_some_different_programs_of_the_model_and_not_too_many(name):
    ranked = made(name).rank(prompts(), K)
    assert len(ranked) == len(prompts())
    for programs in ranked:
        assert 1 <= len(set(programs)) == len(programs) <= n_programs(name)
        assert {type(program) for program in programs} == {Program}
        assert {program.n_layers for program in programs} == {run().stack.n_layers}


@every_policy
def test_a_prompt_gets_the_same_programs_again_and_whatever_is_asked_beside_it(name):
    ranked = made(name).rank(prompts(), K)
    assert made(name).rank(prompts(), K) == ranked
    assert made(name).rank(prompts()[::-1], K) == ranked[::-1]
    assert [made(name).rank([prompt], K)[0] for prompt in prompts()] == ranked


@every_policy
def test_the_best_program_is_the_same_however_many_are_asked_for(name):
    best = [programs[0] for programs in made(name).rank(prompts(), K)]
    assert [programs[0] for programs in made(name).rank(prompts(), 1)] == best


@every_policy
def test_no_prompts_get_no_programs(name):
    assert made(name).rank([], K) == []


@every_policy
def test_one_text_is_no_list_of_prompts(name):
    with pytest.raises(BatchError, match="prompts must be a list of texts"):
        made(name).rank(prompts()[0], K)


@pytest.mark.parametrize("k", [0, -1, 1.5, None, "many"])
@every_policy
def test_a_number_of_programs_that_is_none_is_refused_unless_a_vote_has_its_own(name, k):
    if n_programs(name) == K:
        with pytest.raises(ConfigError, match="k is"):
            made(name).rank(prompts(), k)


@every_policy
def test_a_policy_is_made_from_a_run_with_what_the_registry_says_it_needs_and_from_no_other(
    name, tmp_path
):
    needs = find(name)[0].needs
    without = Run.open(shutil.copytree(run().folder, tmp_path / "run"))
    for stage in needs or ("search", "menu", "train", "selector"):
        without.forget(stage)
    if needs:
        with pytest.raises(RunError, match=r"holds no|is not finished"):
            make_policies([name], without, None)
    else:
        assert make_policies([name], without, None)[0].name == name


@every_policy
def test_a_policy_of_a_copied_run_folder_chooses_the_same(name, tmp_path):
    copied = Run.open(shutil.copytree(run().folder, tmp_path / "run"))
    (again,) = make_policies([name], copied, None)
    assert again.name == made(name).name == name
    assert again.rank(prompts(), K) == made(name).rank(prompts(), K)


def test_records_tell_the_layer_passes_of_every_answer_and_survive_their_file(records, tmp_path):
    by_policy = {one.policy: [] for one in records}
    for one in records:
        by_policy[one.policy] += [one] if one.rank == 0 else []
    assert {len(answers) for answers in by_policy.values()} == {N_QUESTIONS}
    for name, answers in by_policy.items():
        is_vote = n_programs(name) != K
        assert all(one.n_slots == one.program.n_slots > 0 for one in answers)
        assert all((one.extra_passes > 0) == is_vote for one in answers), name
    write_records(tmp_path / "records.jsonl", records)
    assert read_records(tmp_path / "records.jsonl") == records
