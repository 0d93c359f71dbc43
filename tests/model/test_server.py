"""The server as its clients see it: OpenAI's own client, curl, and raw sockets."""

import asyncio
import json
import math
import re
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack
from types import SimpleNamespace

import openai
import pytest
from families import N_LAYERS
from joining import PROGRAMS
from serving import NO_SYSTEM, TEMPLATE, raw, request_bytes, served, stack_with_template

from skiploop.cli.main import main
from skiploop.engine.sampling import Sampling
from skiploop.server.app import Watched
from skiploop.server.keys import Keys
from skiploop.server.limits import Limits

KEY = "0123456789abcdef-a-key"


@pytest.fixture(scope="module")
def stack():
    return stack_with_template()


@pytest.fixture(scope="module")
def server(stack):
    limits = Limits(body_bytes=20_000, prompt_tokens=100, new_tokens=80, answers=4)
    with served(stack, limits=limits) as (service, port):
        yield service, port


@pytest.fixture(scope="module")
def client(server):
    return client_of(server[1])


def client_of(port, key="none"):
    return openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=key, max_retries=0)


def alone(stack, prompt, program=PROGRAMS[0], **settings):
    """What one prompt gives without a server; the model is idle while no test asks it."""
    (found,) = stack.generate([prompt], program, **settings)
    return found


def idle(service):
    """Wait until nothing runs."""
    deadline = time.monotonic() + 20
    while service.metrics.running._value.get() or service.metrics.waiting._value.get():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def refusal(call, status, param):
    with pytest.raises(openai.APIStatusError) as refused:
        call()
    assert refused.value.status_code == status, refused.value.message
    assert refused.value.body["param"] == param
    assert set(refused.value.body) == {"message", "type", "param", "code"}
    return refused.value.body["message"]


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_a_completion_is_what_the_program_gives_and_says_how_it_was_made(stack, client, program):
    made = client.completions.create(model=f"tiny:{program}", prompt="the end", max_tokens=9)
    expected = alone(stack, "the end", program, max_new_tokens=9)
    assert made.choices[0].text == expected.text
    assert made.choices[0].finish_reason == "length" and made.model == f"tiny:{program}"
    assert made.usage.completion_tokens == 9
    assert made.usage.total_tokens == made.usage.prompt_tokens + 9
    how = made.skiploop
    assert (how["program"], how["n_slots"]) == (str(program), program.n_slots)
    assert how["layers_saved"] == N_LAYERS - program.n_slots
    assert how["confidence"] == pytest.approx(math.exp(expected.logprob), rel=1e-3)
    assert how["choose_ms"] >= 0


def test_the_field_program_names_a_program_too(client):
    made = client.completions.create(
        model="tiny", prompt="a", max_tokens=2, extra_body={"program": "1:3x2"}
    )
    assert made.skiploop["program"] == "1:3x2" and made.model == "tiny:1:3x2"


def test_a_stream_says_what_the_whole_answer_says(stack, client):
    settings = {"model": "tiny", "prompt": ["the end", "12+7="], "max_tokens": 20, "stop": ["e"]}
    whole = client.completions.create(**settings)
    texts, finished = ["", ""], {}
    parts = list(
        client.completions.create(**settings, stream=True, stream_options={"include_usage": True})
    )
    for part in parts:
        for choice in part.choices:
            texts[choice.index] += choice.text
            if choice.finish_reason:
                finished[choice.index] = choice.finish_reason
    assert texts == [choice.text for choice in whole.choices]
    assert finished == {choice.index: choice.finish_reason for choice in whole.choices}
    assert parts[-1].usage == whole.usage and not parts[-1].choices
    assert len({part.id for part in parts}) == 1


def test_a_chat_is_put_as_the_template_has_it(stack, client):
    messages = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello"}]
    made = client.chat.completions.create(model="tiny", messages=messages, max_tokens=8)
    expected = alone(stack, "s: be kind\nu: hello\na: ", max_new_tokens=8).text
    assert made.choices[0].message.content == expected
    parts = client.chat.completions.create(
        model="tiny", messages=messages, max_tokens=8, stream=True
    )
    deltas = [part.choices[0].delta for part in parts]
    assert deltas[0].role == "assistant" and {delta.role for delta in deltas[1:]} == {None}
    assert "".join(delta.content for delta in deltas) == expected
    no_limit = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": [{"type": "text", "text": "b" * 90}]}]
    )
    assert no_limit.usage.completion_tokens == 128 - no_limit.usage.prompt_tokens


def test_a_template_without_a_system_role_gets_it_from_the_user():
    stack = stack_with_template(NO_SYSTEM + TEMPLATE)
    messages = [{"role": "developer", "content": "be kind"}, {"role": "user", "content": "hello"}]
    with served(stack) as (_, port):
        client = client_of(port)
        made = client.chat.completions.create(model="tiny", messages=messages, max_tokens=8)
        text = made.choices[0].message.content
        only = [{"role": "system", "content": "x"}]
        message = refusal(
            lambda: client.chat.completions.create(model="tiny", messages=only), 400, "messages"
        )
        assert "no system role" in message
    assert text == alone(stack, "u: be kind\n\nhello\na: ", max_new_tokens=8).text


def test_a_model_without_a_template_has_completions_only():
    with served(stack_with_template(None)) as (_, port):
        client = client_of(port)
        messages = [{"role": "user", "content": "hello"}]
        message = refusal(
            lambda: client.chat.completions.create(model="tiny", messages=messages), 400, "messages"
        )
        assert "no chat template" in message
        assert client.completions.create(model="tiny", prompt="a", max_tokens=1).choices


def test_several_answers_are_drawn_with_seeds_in_a_row(stack, client):
    made = client.completions.create(
        model="tiny", prompt="the end", n=3, seed=5, temperature=0.8, top_p=0.9, max_tokens=12
    )
    sampling = Sampling(temperature=0.8, top_p=0.9)
    for i, choice in enumerate(made.choices):
        one = alone(stack, "the end", sampling=sampling, seeds=[5 + i], max_new_tokens=12)
        assert choice.text == one.text
    assert made.usage.prompt_tokens * 3 < made.usage.completion_tokens
    drawn = {
        client.completions.create(model="tiny", prompt="a", temperature=2, max_tokens=20)
        .choices[0]
        .text
        for _ in range(4)
    }
    assert len(drawn) > 1  # without a seed each draw is another one


def test_log_probabilities_are_told_for_each_token(stack, client):
    expected = alone(stack, "the end", max_new_tokens=6)
    made = client.completions.create(model="tiny", prompt="the end", max_tokens=6, logprobs=0)
    told = made.choices[0].logprobs
    assert "".join(told.tokens) == made.choices[0].text and len(told.token_logprobs) == 6
    assert sum(told.token_logprobs) == pytest.approx(expected.logprob, abs=1e-3)
    assert told.text_offset[0] == 0 and told.text_offset[-1] == len("".join(told.tokens[:-1]))
    messages = [{"role": "user", "content": "hello"}]
    for stream in (False, True):
        got = client.chat.completions.create(
            model="tiny", messages=messages, max_tokens=6, logprobs=True, stream=stream
        )
        choices = [part.choices[0] for part in got] if stream else [got.choices[0]]
        content = [entry for choice in choices for entry in choice.logprobs.content]
        assert len(content) == 6
        assert bytes(content[0].bytes).decode() == content[0].token


def test_the_models_are_listed_and_found(client):
    listed = [model.id for model in client.models.list()]
    assert listed == ["tiny", "tiny:identity"]
    assert client.models.retrieve("tiny:2:4x2").id == "tiny:2:4x2"
    assert "did you mean 'tiny'" in refusal(lambda: client.models.retrieve("tinny"), 404, "model")


COMPLETION = {"model": "tiny", "prompt": "the end", "max_tokens": 3}


@pytest.mark.parametrize(
    ("fields", "status", "param", "message"),
    [
        ({"modle": "x"}, 400, "modle", "did you mean 'model'"),
        ({"max_tokens": "5"}, 400, "max_tokens", "valid integer"),
        ({"max_tokens": 0}, 400, "max_tokens", "greater than or equal to 1"),
        ({"max_tokens": 81}, 400, "max_tokens", "this server writes 80 at most"),
        ({"temperature": -1}, 400, "temperature", "greater than or equal to 0"),
        ({"temperature": True}, 400, "temperature", "valid number"),
        ({"top_p": 0.5}, 400, "top_p", "give temperature above 0"),
        ({"n": 5}, 400, "n", "gives 4 answers"),
        ({"prompt": ["a"] * 5}, 400, "prompt", "gives 4 answers"),
        ({"prompt": []}, 400, "prompt", "at least 1 item"),
        ({"prompt": ""}, 400, "prompt", "no tokens"),
        ({"prompt": "a" * 101}, 400, "prompt", "101 tokens: give 100 at most"),
        ({"prompt": "a" * 99, "max_tokens": 60}, 400, "prompt", "takes 128 in all"),
        ({"prompt": None}, 400, "prompt", "valid array"),
        ({"stop": [""]}, 400, "stop.0", "at least 1"),
        ({"stop": list("abcde")}, 400, "stop", "at most 4"),
        ({"seed": 1.5}, 400, "seed", "valid integer"),
        ({"logit_bias": {"5": 1}}, 400, "logit_bias", "at most 0"),
        ({"logprobs": 3}, 400, "logprobs", "less than or equal to 0"),
        ({"echo": True}, 400, "echo", "False"),
        ({"stream_options": {"include_usage": True}}, 400, "stream_options", "give stream too"),
        ({"model": "gpt-4"}, 404, "model", "there is no model 'gpt-4' here"),
        ({"model": "tiny:auto"}, 404, "model", "there is no model"),
        ({"model": "tiny:9:99x0"}, 400, "model", "ends after layer"),
        ({"model": "tiny:0:6x3"}, 400, "model", "takes 12 at most"),
        ({"model": "tiny:1:2x2", "program": "1:2x0"}, 400, "program", "in one of them"),
        ({"program": "1:2"}, 400, "program", "is not START:STOPxRUNS"),
        ({"program": "1:2x" + "9" * 2000}, 400, "program", "at most 1000 characters"),
        ({"ask": True}, 400, "ask", "knows no form of questions"),
    ],
)
def test_a_field_that_is_wrong_is_refused_by_its_name(client, fields, status, param, message):
    body = COMPLETION | fields
    found = refusal(lambda: client.post("/completions", body=body, cast_to=object), status, param)
    assert message in found


@pytest.mark.parametrize("field", ["frequency_penalty", "presence_penalty"])
def test_fields_of_openai_that_change_nothing_are_taken_so(client, field):
    assert client.completions.create(**COMPLETION, **{field: 0}, user="me", best_of=1).choices
    refusal(lambda: client.completions.create(**COMPLETION, **{field: 0.5}), 400, field)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"{", 400, "the body is not JSON"),
        (b"[1]", 400, "not a JSON object"),
        (b"\xff\xfe\x00", 400, "the body is not JSON"),
        (b"[" * 5000, 400, "the body is not JSON"),
        (b'{"prompt": "\\ud800"}', 400, "the body is not JSON"),
        (b'{"prompt": "a", "temperature": NaN}', 400, "finite"),
        (b'{"prompt": "a", "x": "%s"}' % (b"a" * 30_000), 413, "longer than 20000 bytes"),
    ],
)
def test_a_body_that_is_broken_or_too_long_is_refused(server, body, status, message):
    head, _, answer = raw(server[1], request_bytes("/v1/completions", body)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d" % status)
    assert message in json.loads(answer)["error"]["message"]


def test_a_body_without_a_length_is_cut_off_at_the_limit(server):
    head = "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    chunk = b"2710\r\n" + b"a" * 10_000 + b"\r\n"
    text = head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + 3 * chunk
    assert raw(server[1], text).startswith(b"HTTP/1.1 413")


def test_other_routes_methods_and_kinds_of_body_are_refused_in_the_same_form(server):
    for text, status in (
        (b"GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /v1/completions HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (request_bytes("/v1/completions", COMPLETION, **{"Content-Type": "text/plain"}), 415),
    ):
        head, _, body = raw(server[1], text).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d" % status)
        assert json.loads(body)["error"]["type"] == "invalid_request_error"
        assert b"server:" not in head.lower()


def test_whoever_goes_away_frees_the_place_at_once(stack):
    with served(stack, limits=Limits(rows=1, new_tokens=120)) as (service, port):
        body = {"prompt": "the end", "max_tokens": 110}
        for stream in (False, True):
            text = request_bytes("/v1/completions", body | {"stream": stream})
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(text)
                while not service.metrics.running._value.get():
                    time.sleep(0.001)
            started = time.monotonic()
            assert client_of(port).completions.create(**COMPLETION).choices
            assert time.monotonic() - started < 5
        idle(service)
        counted = service.metrics.text().decode()
        assert 'skiploop_answers_total{ended_by="length"} 2.0' in counted


def test_a_full_line_is_429_with_when_to_ask_again(stack):
    with served(stack, limits=Limits(rows=1, waiting=1, new_tokens=120)) as (_, port):
        text = request_bytes("/v1/completions", {"prompt": "the end", "max_tokens": 115})
        with ExitStack() as opened:
            heads = []
            while not any(head.startswith(b"HTTP/1.1 429") for head in heads):
                address = ("127.0.0.1", port)
                opened.enter_context(socket.create_connection(address)).sendall(text)
                reply = raw(port, request_bytes("/v1/completions", COMPLETION))
                heads.append(reply.partition(b"\r\n\r\n")[0])
        assert b"retry-after: 1" in heads[-1].lower()


def test_a_client_that_does_not_read_is_given_up(server):
    service, _ = server
    sent = []

    async def app(scope, receive, send):
        for number in range(3):
            await send({"type": "http.response.body", "body": b"%d" % number})

    async def never(message):
        sent.append(message)
        await asyncio.sleep(60)

    impatient = SimpleNamespace(limits=Limits(seconds=0.05), metrics=service.metrics)
    asyncio.run(Watched(app, impatient)({"type": "http"}, None, never))
    assert len(sent) == 1


def test_keys_open_all_but_health(stack):
    with served(stack, keys=Keys([KEY, "f" * 20])) as (_, port):
        assert client_of(port, KEY).completions.create(**COMPLETION).choices
        for key in ("none", "", KEY[:-1], KEY + "x", "é"):
            text = request_bytes("/v1/completions", b"{", Authorization=f"Bearer {key}")
            assert raw(port, text).startswith(b"HTTP/1.1 401")
        for path, status in (("/health", 200), ("/metrics", 401), ("/v1/models", 401)):
            text = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            assert raw(port, text).startswith(b"HTTP/1.1 %d" % status)


def test_the_work_is_told_in_figures(server, client):
    client.completions.create(**COMPLETION | {"model": "tiny:0:2x0"})
    text = raw(server[1], b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").decode()
    for name in ("requests_total{", "new_tokens_total ", "first_token_seconds_count ", "kv_bytes "):
        assert f"\nskiploop_{name}" in text
    assert 'route="/v1/completions",status="200"' in text


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl_gets_answers_and_streams(server):
    def curl(**fields):
        body = json.dumps(COMPLETION | fields)
        address = f"http://127.0.0.1:{server[1]}/v1/completions"
        command = ["curl", "-sN", address, "-H", "Content-Type: application/json", "-d", body]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    whole = json.loads(curl())["choices"][0]["text"]
    lines = [line for line in curl(stream=True).splitlines() if line]
    assert lines[-1] == "data: [DONE]"
    parts = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert "".join(part["choices"][0]["text"] for part in parts) == whole


def test_clients_are_not_refused_from_the_line_on_that_says_where_the_server_is(
    llama_folder, monkeypatch
):
    said = []

    def connect(line):
        port = int(re.search(r":(\d+)/v1", line)[1])
        socket.create_connection(("127.0.0.1", port), timeout=20).close()
        said.append(line)

    monkeypatch.setattr("skiploop.cli.serve.say", connect)
    monkeypatch.setattr("uvicorn.Server.run", lambda _, sockets: sockets[0].close())
    assert main(["serve", "--model", llama_folder, "--port", "0"]) == 0
    assert len(said) == 1
