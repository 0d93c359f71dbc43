"""What every policy and every other method must keep, whatever it chooses by."""

import shutil
from functools import cache

import planted
import pytest

from skiploop import Program
from skiploop.errors import BatchError, ConfigError, RunError, UnknownNameError
from skiploop.evaluation.records import read_records, write_records
from skiploop.policies.base import Ranked
from skiploop.runs.methods.make import make_methods
from skiploop.runs.policies import POLICIES, checked_name, entry_of, find
from skiploop.runs.session import Run
from skiploop.shipped import shipped_policies
from skiploop.trials.runner import TrialRunner
from skiploop.trials.store import TrialStore

PATTERNS = {
    "fixed:PROGRAM": "fixed:2:4x2",
    "selector:LAYERS": "selector:5.5",
    "vote:K": "vote:3",
    "majority:K": "majority:3",
    "sample:K": "sample:3",
    "shortgpt:LAYERS": "shortgpt:4.5",
    "angular:LAYERS": "angular:4.5",
    "sleb:LAYERS": "sleb:4.5",
    "tale:LAYERS": "tale:4.5",
    "early-exit:LAYERS": "early-exit:4.5",
    "mindskip:LAYERS": "mindskip:5.5",
    "flexidepth:LAYERS": "flexidepth:4.5",
    "flexidepth-weights:FOLDER": f"flexidepth-weights:{planted.flexidepth_weights()}",
}
"""By pattern of names, a policy of it."""

N_QUESTIONS = 6
K = 4

NAMES = [*POLICIES, *PATTERNS.values()]
RANKED = [name for name in NAMES if entry_of(name).role in {"choice", "control"}]


def each(names):
    # a test's id is the same in every process: the folder of the weights is not
    return pytest.mark.parametrize("name", names, ids=[name.split("/")[0] for name in names])


every_method = each(NAMES)
every_policy = each(RANKED)


@cache
def run():
    return Run.open(planted.finished_run())


@cache
def run_of(name):
    """Return a run whose questions a method does not refuse: samples do so where choices are."""
    is_sample = entry_of(name).role == "sample"
    return Run.open(planted.written_run()) if is_sample else run()


@cache
def made(name):
    return make_methods([checked_name(name)], run_of(name), k=K)[0]


@cache
def prompts():
    return [run().task.prompt(example) for example in run().task.examples("test", N_QUESTIONS)]


def programs_of(name):
    """Return the fewest and the most programs that a method may choose for a prompt."""
    if name in RANKED:
        return 1, K
    n_answers = int(find(name)[1]) if entry_of(name).role == "vote" else 0
    return n_answers, n_answers


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Return the records of an evaluation; where there are choices, no policy draws samples."""
    copied = shutil.copytree(run().folder, tmp_path_factory.mktemp("evaluated") / "run")
    names = [name for name in NAMES if entry_of(name).role != "sample"]
    asked = ["--policy", ",".join(names), "--limit", N_QUESTIONS, "--k", K]
    planted.command("evaluate", "--run", copied, *asked)
    return read_records(copied / "records.jsonl")


def test_every_policy_and_every_pattern_of_names_is_tested():
    with pytest.raises(UnknownNameError, match="Known: ") as error:
        checked_name("nobody")
    known = str(error.value).rpartition("Known: ")[2].split(", ")
    assert sorted(known) == sorted([*POLICIES, *PATTERNS, *shipped_policies()])


@every_method
def test_every_prompt_gets_different_programs_of_the_model_neither_too_few_nor_too_many(name):
    chosen = made(name).choose(prompts())
    fewest, most = programs_of(name)
    assert len(chosen) == len(prompts())
    for programs in chosen:
        assert fewest <= len(set(programs)) == len(programs) <= most
        assert all(type(program) is Program for program in programs)
        assert all(program.n_layers == run().stack.n_layers for program in programs)


@every_method
def test_a_prompt_gets_the_same_programs_again_and_whatever_is_asked_beside_it(name):
    chosen = made(name).choose(prompts())
    assert made(name).choose(prompts()) == chosen
    assert made(name).choose(prompts()[::-1]) == chosen[::-1]
    assert [made(name).choose([prompt])[0] for prompt in prompts()] == chosen


@every_method
def test_every_question_gets_a_graded_answer_that_tells_its_cost_and_the_same_one_again(
    name, tmp_path
):
    task = run_of(name).task
    runner = TrialRunner(run().stack, task, TrialStore(tmp_path / "trials.sqlite"))
    examples = task.examples("test", N_QUESTIONS)
    answered = made(name).answer(examples, runner)
    assert len(answered) == len(examples)
    for first, *others in answered:
        assert first.correct in {True, False} and 0 <= first.confidence <= 1
        assert first.cost.n_passes > 0 and first.cost.choosing_s >= 0
        may_run_fewer = entry_of(name).role == "executor"
        assert may_run_fewer or first.cost.n_passes >= first.program.n_slots > 0
        assert all(one.cost.n_passes == one.program.n_slots for one in others)
        assert all(one.cost.kv_bytes > 0 for one in (first, *others))
    again = made(name).answer(examples, runner)
    for answers, same in zip(answered, again, strict=True):
        assert [(a.program, a.text) for a in answers] == [(a.program, a.text) for a in same]


@every_policy
def test_the_best_program_is_the_same_however_many_are_asked_for(name):
    best = [programs[:1] for programs in made(name).choose(prompts())]
    assert Ranked(made(name).policy, 1).choose(prompts()) == best


@every_method
def test_no_prompts_get_no_programs(name):
    assert made(name).choose([]) == []


@every_method
def test_one_text_is_no_list_of_prompts(name):
    with pytest.raises(BatchError, match="prompts must be a list of texts"):
        made(name).choose(prompts()[0])


@pytest.mark.parametrize("k", [0, -1, 1.5, None, "many"])
@every_policy
def test_a_number_of_programs_that_is_none_is_refused(name, k):
    with pytest.raises(ConfigError, match="k is"):
        Ranked(made(name).policy, k).choose(prompts())


@every_method
def test_a_method_is_made_from_a_run_with_what_the_registry_says_it_needs_and_from_no_other(
    name, tmp_path
):
    needs = entry_of(name).needs
    without = Run.open(shutil.copytree(run_of(name).folder, tmp_path / "run"))
    for stage in needs or ("search", "menu", "train", "selector"):
        without.forget(stage)
    if needs:
        with pytest.raises(RunError, match=r"holds no|is not finished"):
            make_methods([name], without)
    else:
        assert make_methods([name], without)[0].name == name


@every_method
def test_a_method_of_a_copied_run_folder_chooses_the_same(name, tmp_path):
    copied = Run.open(shutil.copytree(run_of(name).folder, tmp_path / "run"))
    (again,) = make_methods([name], copied, k=K)
    assert again.name == made(name).name == name
    assert again.choose(prompts()) == made(name).choose(prompts())


def test_records_tell_the_layer_passes_of_every_answer_and_survive_their_file(records, tmp_path):
    by_policy = {one.policy: [] for one in records}
    for one in records:
        by_policy[one.policy] += [one] if one.rank == 0 else []
    assert {len(answers) for answers in by_policy.values()} == {N_QUESTIONS}
    for name, answers in by_policy.items():
        role = entry_of(name).role
        assert all(one.n_slots == one.program.n_slots > 0 for one in answers)
        assert all((one.extra_passes > 0) == (role == "vote") for one in answers), name
        assert all(one.extra_passes >= 0 or role == "executor" for one in answers), name
    write_records(tmp_path / "records.jsonl", records)
    assert read_records(tmp_path / "records.jsonl") == records
