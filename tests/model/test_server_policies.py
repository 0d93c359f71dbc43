"""A policy as a variant of the model: chosen programs, routes, bare questions, votes."""

import functools
import re
from pathlib import Path

import numpy as np
import pytest
from families import N_LAYERS
from serving import served, stack_with_template
from test_server import alone, client_of, refusal

import skiploop
from skiploop.menus.menu import Menu
from skiploop.policies.base import FixedPolicy
from skiploop.policies.encoders import LayerStates
from skiploop.policies.selector.choice import PromptFeatures
from skiploop.policies.selector.learning import SelectorConfig
from skiploop.policies.selector.policy import SelectorPolicy, learn
from skiploop.programs.program import Program
from skiploop.trials.score_table import ScoreTable

PROGRAMS = tuple(Program.parse(text, N_LAYERS) for text in ("identity", "2:3x2", "3:5x0"))
PROMPTS = [f"{'ab'[i % 2]}{i} = " for i in range(120)]


class Form:
    """How questions were put: an equals sign follows, and an answer is one character."""

    stop, max_new_tokens = ("e",), 9

    def prompt(self, question):
        if not question.strip():
            raise skiploop.errors.ConfigError("the question is empty: give its text")
        return f"{question} = "

    def read(self, prompt, texts):
        return [text[:1] for text in texts]


def selector(stack):
    """A selector of which the second program is right for the prompts that start with an a."""
    score = np.full((len(PROMPTS), 3), 0.1)
    score[1::2, 0] = score[::2, 1] = 0.9
    ids = tuple(map(str, range(len(PROMPTS))))
    table = ScoreTable(ids, PROGRAMS, (score > 0.5).astype(float), score, np.ones(len(PROMPTS)))
    features = PromptFeatures(LayerStates(stack, layer=2))
    data = learn(features.of(PROMPTS), table, SelectorConfig())
    policy = SelectorPolicy(Menu(PROGRAMS, stack.model_id, (0.1, 0.2, 0.3)), features, data)
    policy.form = Form()
    return policy


@pytest.fixture(scope="module")
def stack():
    return stack_with_template()


@pytest.fixture(scope="module")
def policy(stack):
    return selector(stack)


@pytest.fixture(scope="module")
def client(stack, policy):
    with served(stack, {"mine": policy}) as (_, port):
        yield client_of(port)


def route(client, **body):
    return client.post("/skiploop/route", body=body, cast_to=dict[str, object])


def test_a_policy_is_listed_and_is_what_the_model_alone_means(client):
    listed = [model.id for model in client.models.list()]
    assert listed == ["tiny", "tiny:auto", "tiny:identity", "mine"]
    for model in ("tiny", "tiny:auto", "mine"):
        made = client.completions.create(model=model, prompt="a1 = ", max_tokens=2)
        assert made.skiploop["program"] == "2:3x2" and made.model == "mine"
        assert made.skiploop["choose_ms"] > 0


def test_prompts_of_one_request_get_programs_of_their_own(stack, policy, client):
    prompts = ["a1 = ", "b2 = ", "a7 = "]
    made = client.completions.create(model="mine", prompt=prompts, max_tokens=7)
    chosen = [ranked[0] for ranked in policy.rank(prompts, 1)]
    assert len(set(chosen)) == 2
    for prompt, program, choice in zip(prompts, chosen, made.choices, strict=True):
        assert choice.skiploop["program"] == str(program)
        assert choice.text == alone(stack, prompt, program, max_new_tokens=7).text


def test_a_route_says_what_would_be_chosen_and_why_and_writes_nothing(policy, client):
    told = route(client, model="mine", prompt="a1 = ")
    expected = policy.expected(["a1 = "])[0].tolist()
    best = told["chosen"]
    assert (best["program"], best["layers_saved"]) == ("2:3x2", -1)
    assert best["score"] == pytest.approx(expected[1], abs=1e-5)
    assert 0 < best["calibrated"] <= 1
    assert told["runner_up"]["program"] == "identity"
    assert told["runner_up"]["utility"] <= best["utility"]
    gate = policy.gate
    assert told["gate"] == {
        "margin": gate.margin,
        "layer_cost": gate.layer_cost,
        "is_far": False,
    }
    assert told["n_programs"] == 3 and "text" not in str(told)
    for prompt in ("a1 = ", "z" * 40):  # the second is like none that it learned from
        chosen = route(client, model="mine", prompt=prompt)["chosen"]["program"]
        assert chosen == str(policy.rank([prompt], 1)[0][0])
    fixed = route(client, model="tiny:3:5x0", prompt="a1 = ")
    assert (fixed["chosen"]["program"], fixed["runner_up"], fixed["gate"]) == ("3:5x0", None, None)
    asked = route(client, model="mine", prompt="a1", ask=True)
    assert asked["chosen"] == best
    chat = route(client, messages=[{"role": "user", "content": "b2"}])
    assert chat["model"] == "mine"
    refusal(
        lambda: route(client, prompt="a", messages=[{"role": "user", "content": "b"}]),
        400,
        "prompt",
    )
    refusal(lambda: route(client), 400, "prompt")
    refusal(lambda: route(client, prompt=""), 400, None)


def test_a_bare_question_is_put_as_the_policy_has_seen_them(stack, policy, client):
    form = policy.form
    made = client.completions.create(model="mine", prompt="5 + 3", extra_body={"ask": True})
    (expected,) = stack.generate(
        [form.prompt("5 + 3")],
        policy.during_prefill(),
        max_new_tokens=form.max_new_tokens,
        stop=form.stop,
    )
    assert made.choices[0].text == expected.text
    for more, field in (({"stop": "x"}, "ask"), ({"prompt": " "}, "prompt")):
        body = {"model": "mine", "prompt": "5 + 3", "ask": True} | more
        call = functools.partial(client.post, "/completions", body=body, cast_to=object)
        refusal(call, 400, field)


def test_programs_vote_and_abstain_where_they_are_not_sure(stack, policy, client):
    body = {"model": "mine", "prompt": "a1 = ", "max_tokens": 3}
    made = client.completions.create(**body, extra_body={"vote": 3})
    told = made.skiploop
    ranked = policy.rank(["a1 = "], 3)[0]
    assert [vote["program"] for vote in told["votes"]] == [str(program) for program in ranked]
    for vote, program in zip(told["votes"], ranked, strict=True):
        assert vote["text"] == alone(stack, "a1 = ", program, max_new_tokens=3).text
    assert made.choices[0].text in {vote["text"] for vote in told["votes"]}
    assert 0 < told["confidence"] < 1 and told["abstained"] is False
    assert made.usage.completion_tokens == 9 and told["choose_ms"] > 0.01
    unsure = client.completions.create(**body, extra_body={"vote": 3, "abstain_below": 1})
    assert unsure.choices[0].text == "" and unsure.skiploop["abstained"] is True


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"vote": 4}, "vote"),
        ({"vote": 99}, "vote"),
        ({"vote": 2, "n": 2}, "vote"),
        ({"vote": 2, "stream": True}, "stream"),
        ({"vote": 2, "model": "tiny:identity"}, "vote"),
        ({"abstain_below": 0.5}, "abstain_below"),
    ],
)
def test_a_vote_that_cannot_be_held_is_refused_by_its_field(client, fields, param):
    body = {"model": "mine", "prompt": "a1 = ", "max_tokens": 3} | fields
    refusal(lambda: client.post("/completions", body=body, cast_to=object), 400, param)


def test_a_policy_that_needs_the_whole_prompt_chooses_before_it_runs(stack, policy):
    class Late:
        name, form = "late", None
        rank, why = policy.rank, policy.why

        def during_prefill(self, k=1):
            raise skiploop.errors.ConfigError("it needs the whole prompt")

    with served(stack, {"late": Late()}, default="1:2x0") as (_, port):
        client = client_of(port)
        made = client.completions.create(model="tiny:auto", prompt="a1 = ", max_tokens=2)
        assert made.skiploop["program"] == "2:3x2" and made.skiploop["choose_ms"] > 0
        plain = client.completions.create(model="tiny", prompt="a1 = ", max_tokens=2)
        assert plain.skiploop["program"] == "1:2x0"
        assert "tiny:1:2x0" in [model.id for model in client.models.list()]


def test_the_client_of_the_how_to_page_works_as_it_is_shown(client, capsys):
    page = (Path(__file__).parents[2] / "docs/how-to/serve.md").read_text()
    block = re.search(r"```py\n(.*?)```", page, re.DOTALL)[1]
    for shown, here in (
        ("http://127.0.0.1:8000/v1", str(client.base_url)),
        ("smollm2-135m", "tiny"),
        (":14:15x2", ":1:2x2"),
    ):
        assert shown in block
        block = block.replace(shown, here)
    exec(compile(block, "serve.md", "exec"), {})
    assert "'program': 'identity'" in capsys.readouterr().out


def test_a_policy_of_one_program_for_all_prompts_is_served_as_well(stack):
    with served(stack, {"short": FixedPolicy(PROGRAMS[2:], "short")}) as (_, port):
        client = client_of(port)
        made = client.completions.create(model="short", prompt="a1 = ", max_tokens=2)
        assert made.skiploop["program"] == "3:5x0"
        told = route(client, model="short", prompt="a1 = ")
        assert (told["chosen"]["program"], told["chosen"]["score"]) == ("3:5x0", None)
