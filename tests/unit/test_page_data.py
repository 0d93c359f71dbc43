"""What the page of a report is given to show."""

import json
import math
from dataclasses import replace

import pytest

import pages
from skiploop.jsontext import plain
from skiploop.report.details import Details
from skiploop.report.page_data import data_script, page_data

REPORT, DETAILS = pages.report_and_details(n_judged=12, n_of_menu=6)


@pytest.fixture(scope="module")
def data():
    return page_data(REPORT, DETAILS)


def trial_as_shown(**changes):
    """Return the first trial of a question that has it with some changes, and the texts."""
    asked = DETAILS.of_menu[0]
    asked = replace(asked, trials=[replace(asked.trials[0], **changes)])
    found = page_data(REPORT, Details(of_menu=[asked]))
    return found["questions"]["menu"][0]["trials"][0], found["texts"]


def test_the_numbers_are_those_of_the_report(data):
    assert data["report"] == plain(REPORT)


def test_every_question_comes_with_what_policies_and_programs_said(data):
    for part, asked in (("judged", DETAILS.judged), ("menu", DETAILS.of_menu)):
        assert [one["id"] for one in data["questions"][part]] == [one.example.id for one in asked]
        for shown, one in zip(data["questions"][part], asked, strict=True):
            said = {
                name: (data["programs"][program]["text"], bool(verdict), data["texts"][text])
                for name, (program, verdict, _, text) in shown["answers"].items()
            }
            assert said == {
                name: (str(record.program), bool(record.correct), record.text)
                for name, record in one.answers.items()
            }
            assert [data["programs"][trial[0]]["text"] for trial in shown["trials"]] == [
                str(trial.program) for trial in one.trials
            ]


def test_prompts_are_whole_where_their_beginning_stands_elsewhere(data):
    for shown, one in zip(data["questions"]["judged"], DETAILS.judged, strict=True):
        beginning, rest = shown["prompt"]
        assert data["texts"][beginning] + rest == one.prompt
        assert data["texts"][beginning].startswith("Examples: 1 + 1 = 2")


def test_programs_come_in_the_order_of_the_menu_and_tell_how_often_each_layer_runs(data):
    listed = [program["text"] for program in data["programs"]]
    assert listed[: len(pages.MENU)] == list(pages.MENU)
    assert data["programs"][2]["runs"] == [1] * 18 + [2] + [1] * 11
    assert [data["programs"][1][name] for name in ("slots", "damped")] == [22, False]
    assert data["programs"][4]["damped"]


def test_log_probabilities_become_probabilities():
    (_, _, sure, _, gold), _ = trial_as_shown(logprob=math.log(0.25), gold_logprob=None)
    assert (sure, gold) == (0.25, None)


def test_an_answer_without_a_verdict_or_a_probability_says_so():
    (_, verdict, sure, _, _), _ = trial_as_shown(correct=None, logprob=None)
    assert verdict is None and sure is None


def test_a_text_of_which_only_the_beginning_was_written_ends_with_a_mark():
    (*_, text, _), texts = trial_as_shown(text="7", stopped_by="decided")
    assert texts[text] == "7 …"


def test_long_texts_are_shortened():
    (*_, text, _), texts = trial_as_shown(text="a" * 10_000 + "end")
    assert len(texts[text]) < 500 and texts[text].endswith("end")


def test_no_text_ends_the_script_or_starts_another():
    script = data_script(REPORT, DETAILS)
    assert "<" not in script
    (name, text) = script.removesuffix(";\n").split(" = ", 1)
    assert name == "const DATA"
    assert json.loads(text) == json.loads(json.dumps(page_data(REPORT, DETAILS)))
    assert json.loads(text)["questions"]["judged"][0]["question"] == pages.HOSTILE


def test_every_step_of_a_search_comes_after_those_that_led_to_it(data):
    for shown, grown in zip(data["searches"], DETAILS.searches, strict=True):
        assert shown["id"] == grown.example.id and len(shown["steps"]) == pages.N_STEPS
        for number, (program, *_, walk) in enumerate(shown["steps"]):
            assert walk[0] == 0 and walk[-1] == number and walk == sorted(walk)
            texts = [data["programs"][shown["steps"][step][0]]["text"] for step in walk]
            assert texts == [str(one) for one in grown.steps[number].walk]
            assert texts[-1] == data["programs"][program]["text"]
