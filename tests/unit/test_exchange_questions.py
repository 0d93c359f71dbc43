"""Questions with verdicts from PoLar, RE-PoLar and Dr.LLM: their fields, and what is refused."""

import json

import exchanged
import pytest
from exchanged import IDENTITY, N_LAYERS

from skiploop import Program
from skiploop.errors import DataError

PLAIN = list(range(N_LAYERS))
LOOP = [0, 1, 2, 3, 2, 3, 4, 5, 6, 7]
SKIP = [0, 1, 4, 5, 6, 7]
OUT_OF_ORDER = [0, 1, 2, 3, 3, 2, 4, 5, 6, 7]
LOOPED, SKIPPED = (Program.from_path(path, N_LAYERS) for path in (LOOP, SKIP))
SAMPLE = {
    "question": "3+4?",
    "gt_ans": "\\boxed{7}",
    "initial_score": 0.0,
    "final_valid_transitions": [LOOP, SKIP],
    "final_invalid_transitions": [PLAIN],
}


def read(name, data, tmp_path, **more):
    path = tmp_path / "file.json"
    path.write_text(json.dumps(data))
    return exchanged.read(name, path, **more)


def refused(name, data, tmp_path, **more):
    with pytest.raises(DataError) as caught:
        read(name, data, tmp_path, **more)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'file.json'}") and "\n" not in message
    return message.removeprefix(f"{tmp_path / 'file.json'}, ")


@pytest.mark.parametrize(
    "data",
    [
        {"samples": [SAMPLE]},
        [SAMPLE],
        {"17": SAMPLE},
        {"SEARCH_ALGO": "mcts", "DIFFICULTY_LEVEL": 1, "samples": [SAMPLE]},
    ],
    ids=["object", "list", "values", "header"],
)
def test_polar_writes_its_samples_in_several_containers(data, tmp_path):
    (question,) = read("polar", data, tmp_path).questions
    assert (question.question, question.gold) == ("3+4?", "7")
    assert question.right == (LOOPED, SKIPPED)
    assert question.wrong == (IDENTITY,)


def test_the_fields_of_the_search_release_are_read(tmp_path):
    shard = {
        "sample_id": 0,
        "query_id": "q",
        "valid_transitions": [{"path": LOOP, "score": 1.0}],
        "invalid_transitions": [{"path": SKIP, "score": 0.0}],
        "initial_score": 1.0,
        "trajectories": {"valid": [], "invalid": []},
        "sample_info": {"question": "3+4?", "ground_truth": 7, "prompt_text": "..."},
    }
    (question,) = read("polar", [shard], tmp_path).questions
    assert (question.question, question.gold) == ("3+4?", "7")
    assert question.right == (IDENTITY, LOOPED)
    assert question.wrong == (SKIPPED,)


@pytest.mark.parametrize(
    ("scores", "right", "wrong"),
    [
        ({"initial_transition_metric": 1.0, "initial_score": 0.0}, 2, 0),
        ({"initial_score": 0.0}, 1, 1),
        ({"evaluation_result": {"initial_score": 1.0}}, 2, 0),
        ({"initial_score": None}, 1, 0),
    ],
)
def test_the_verdict_of_the_plain_model_may_stand_apart(scores, right, wrong, tmp_path):
    sample = {"question": "3+4?", "answer": "7", "final_valid_transitions": [LOOP], **scores}
    (question,) = read("polar", [sample], tmp_path).questions
    assert (len(question.right), len(question.wrong)) == (right, wrong)


def test_a_path_that_is_no_program_is_left_out_and_counted(tmp_path):
    sample = {**SAMPLE, "final_valid_transitions": [OUT_OF_ORDER, SKIP, SKIP]}
    found = read("polar", [SAMPLE, sample], tmp_path)
    assert found.questions[1].right == (SKIPPED,)
    (reason,) = found.left_out
    assert reason.startswith("record 1, final_valid_transitions, path 0: path position 5 goes back")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"final_valid_transitions": None, "question": ""}, "record 0: field 'question' is mis"),
        ({"final_valid_transitions": 3}, "record 0, final_valid_transitions: 3 is not a list"),
        (
            {"final_valid_transitions": [[0, "1"]]},
            "record 0, final_valid_transitions, path 0: '1' is not the number of a layer",
        ),
        (
            {"final_invalid_transitions": [PLAIN, [0, 8]]},
            "record 0, final_invalid_transitions, path 1: there is no layer 8 in a model of 8 lay",
        ),
        (
            {"final_invalid_transitions": [SKIP]},
            "record 0: path of '2:4x0' is both right and wrong",
        ),
        ({"initial_score": "bad", "final_invalid_transitions": []}, "record 0, initial_score: "),
    ],
)
def test_a_wrong_sample_is_refused_by_record_and_field(change, message, tmp_path):
    assert refused("polar", [{**SAMPLE, **change}], tmp_path).startswith(message)


@pytest.mark.parametrize("field", ["gt_ans", "final_valid_transitions"])
def test_a_sample_that_lacks_a_field_is_refused(field, tmp_path):
    sample = {name: value for name, value in SAMPLE.items() if name != field}
    message = refused("polar", {"samples": [sample]}, tmp_path)
    assert message == f"samples, record 0: field {field!r} is missing"


@pytest.fixture
def texts(tmp_path):
    """Return the file of texts that RE-PoLar's own reconstruction writes."""
    path = tmp_path / "train.json"
    path.write_text(json.dumps([{"query_id": "a", "question": "3+4?", "gt_ans": "7"}]))
    return path


def test_released_samples_of_re_polar_are_joined_with_their_texts(tmp_path, texts):
    released = {
        "final_valid_transitions": [LOOP],
        "final_invalid_transitions": [PLAIN],
        "initial_transition_metric": 0.0,
        "sample_info": {"query_id": "a", "domain": "Algebra", "math_level": 1},
        "search_trajectory": [{"path": PLAIN, "parent_path": None, "reward": 0.0}],
    }
    (question,) = read("re-polar", {"samples": [released]}, tmp_path, questions=(texts,)).questions
    assert (question.question, question.gold, question.right) == ("3+4?", "7", (LOOPED,))
    message = refused("re-polar", {"samples": [released]}, tmp_path)
    assert "no question is known for query_id 'a'" in message and "--questions" in message


def grid(**change):
    programs = [
        {"path": PLAIN, "rewards": [0, 1], "provenance": "vf"},
        {"path": LOOP, "rewards": [1, 0], "provenance": "ff"},
        {"path": OUT_OF_ORDER, "rewards": [1, 1], "provenance": "ff"},
    ]
    entry = {"difficulty": 1, "qids": ["a", "b"], "per_program": programs, **change}
    return {"model": "m", "k": 3, "schema": "1", "per_difficulty": [entry]}


def test_a_grid_holds_every_verdict(tmp_path, texts):
    more = tmp_path / "test.json"
    more.write_text(json.dumps([{"query_id": "b", "question": "1+1?", "gt_ans": 2}]))
    found = read("re-polar", grid(), tmp_path, questions=(texts, more))
    assert [(q.question, q.right, q.wrong) for q in found.questions] == [
        ("3+4?", (LOOPED,), (IDENTITY,)),
        ("1+1?", (IDENTITY,), (LOOPED,)),
    ]
    assert len(found.left_out) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"qids": ["b"]}, "per_difficulty, record 0, per_program 0, rewards: 2 verdicts for 1 qu"),
        ({}, "per_difficulty, record 0, qids 1: no question is known for 'b': a grid holds no"),
        (
            {"per_program": [{"path": PLAIN, "n_solved": 3}]},
            "per_difficulty, record 0, per_program 0: field 'rewards' is missing",
        ),
        (
            {"per_program": [{"path": PLAIN, "rewards": [0, 0.5]}]},
            "per_difficulty, record 0, per_program 0, rewards 1: 0.5 is not 0 or 1",
        ),
    ],
)
def test_a_wrong_grid_is_refused_by_record_and_field(change, message, tmp_path, texts):
    assert refused("re-polar", grid(**change), tmp_path, questions=(texts,)).startswith(message)


RESULTS = {
    "questions": ["Question: 3+4?\nAnswer:", "1+1?"],
    "best_response": ["7", "2"],
    "good_paths": [[LOOP], []],
    "best_path": [LOOP, PLAIN],
    "original_correct": [1, 0],
    "model_name": "owner/model",
}


def test_dr_llm_tells_good_paths_and_the_plain_model(tmp_path):
    first, second = read("drllm", RESULTS, tmp_path).questions
    assert (first.question, first.gold) == ("Question: 3+4?\nAnswer:", "7")
    assert (first.right, first.wrong) == ((IDENTITY, LOOPED), ())
    assert (second.right, second.wrong) == ((), (IDENTITY,))


def test_dr_llm_gets_the_columns_that_its_training_reads(tmp_path):
    contents = read("drllm", RESULTS, tmp_path)
    data = json.loads(exchanged.written("drllm", contents, tmp_path).read_text())
    assert data["best_path"] == [PLAIN, PLAIN]
    assert data["improved_cases"] == [False, False]
    assert data["path_lengths"] == data["unique_layers"] == [N_LAYERS, N_LAYERS]
    assert data["model_name"] == "owner/model"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"questions": ["one"]}, "columns must be of one length, and not empty: there are 1 qu"),
        ({"good_paths": [[LOOP], [[9]]]}, "record 1, good_paths, path 0: there is no layer 9"),
        ({"original_correct": [1, "no"]}, "record 1, original_correct: 'no' is not 0 or 1"),
        ({"best_response": ["7", None]}, "record 1, best_response: None is not a text"),
    ],
)
def test_wrong_results_of_dr_llm_are_refused_by_record_and_field(change, message, tmp_path):
    found = refused("drllm", {**RESULTS, **change}, tmp_path)
    assert found.removeprefix(f"{tmp_path / 'file.json'}: ").startswith(message)
