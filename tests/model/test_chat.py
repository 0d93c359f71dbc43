"""`skiploop chat` with a tiny model whose tokenizer has a chat template."""

import io
import math
import shutil
import sys

import families
import planted
import pytest
import torch
from serving import TEMPLATE

import skiploop
from skiploop import Program
from skiploop.cli.answers import Answers
from skiploop.cli.chat import bar
from skiploop.cli.conversation import Conversation
from skiploop.cli.main import main
from skiploop.engine.completion import Completion
from skiploop.engine.decoding.row_state import TokenColumn
from skiploop.engine.options import Options
from skiploop.errors import BatchError, ProgramError
from skiploop.policies.base import FixedPolicy

LIMIT = ["--max-new-tokens", "6"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny model that can talk."""
    folder = tmp_path_factory.mktemp("talks")
    families.build("llama").save_pretrained(folder)
    families.tokenizer().save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return str(folder)


@pytest.fixture(scope="module")
def stack(folder):
    return skiploop.load(folder)


@pytest.fixture(scope="module")
def run():
    return planted.finished_run()


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def talk(monkeypatch, capsys):
    """Return exit code, stdout and stderr of a chat in which some lines are typed or piped."""

    def run(lines, *options, stdin=io.StringIO):
        monkeypatch.setattr(sys, "stdin", stdin("".join(f"{line}\n" for line in lines)))
        code = main(["chat", *options, *LIMIT])
        return code, *capsys.readouterr()

    return run


def written(stack, said, program="identity"):
    """Return what the model says at the end of a conversation of a user and the model in turn."""
    text = "".join(f"{'ua'[i % 2]}: {one}\n" for i, one in enumerate(said)) + "a: "
    (completion,) = stack.generate([text], Program.parse(program, stack.n_layers), max_new_tokens=6)
    return completion.text


def test_each_line_of_a_pipe_is_a_message_and_the_whole_conversation_is_read(talk, folder, stack):
    first = written(stack, ["hello"])
    second = written(stack, ["hello", first, "and on"])
    code, out, err = talk(["hello", "", "and on"], "--model", folder)
    assert (code, out) == (0, f"{first.strip()}\n{second.strip()}\n")
    assert err.count("identity: 6 layer passes instead of 6, 6 tokens\n") == 2
    assert "> " not in out


def test_a_bar_tells_which_layers_answered(talk, folder, stack):
    code, out, err = talk(["hello"], "--model", folder, "--program", "1:2x0 3:5x2")
    assert (code, out) == (0, f"{written(stack, ['hello'], '1:2x0 3:5x2').strip()}\n")
    assert err == "[=.=22=] 1:2x0 3:5x2: 7 layer passes instead of 6, 6 tokens\n"
    assert bar(Program.parse("0:1x12 2:3x0", 4)) == "+=.="


def test_commands_change_the_program_and_forget_the_conversation(talk, folder, stack):
    lines = ["hello", "/program 0:2x0", "/clear", "hello", "/quit", "never said"]
    code, out, err = talk(lines, "--model", folder)
    answers = [written(stack, ["hello"], program) for program in ("identity", "0:2x0")]
    assert (code, out.splitlines()) == (0, [answer.strip() for answer in answers])
    assert "0:2x0 answers from now on" in err


def test_a_policy_chooses_for_each_answer(talk, run, tmp_path):
    model = shutil.copytree(run.parent / "model", tmp_path / "model")
    (model / "chat_template.jinja").write_text(TEMPLATE)
    stack = skiploop.load(str(model))
    (ranked,) = skiploop.load_policy(run, stack).rank(["u: the pen 3 on 9?\na: "], 1)
    code, out, err = talk(
        ["the pen 3 on 9?", "/policy", "never said"], "--policy", str(run), "--model", str(model)
    )
    assert out == f"{written(stack, ['the pen 3 on 9?'], str(ranked[0])).strip()}\n"
    assert f"] {ranked[0]}: " in err
    assert code == 2 and "/policy needs the name of a policy" in err
    code, _, err = talk([f"/policy {run}", "the pen 3 on 9?"], "--model", str(model))
    assert code == 0 and f"] {ranked[0]}: " in err


def test_what_is_no_command_or_program_ends_a_script(talk, folder):
    for line, told in (("/progam", "did you mean '/program'?"), ("/program 9:99x0", "9:99x0")):
        code, out, err = talk([line, "hello"], "--model", folder)
        assert (code, out) == (2, "")
        assert told in err


def test_in_a_terminal_a_mistake_is_told_and_the_talk_goes_on(talk, folder, stack, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda _: next(typed))
    typed = iter(["/progam", "/help", " /hello", "/quit"])
    code, out, err = talk([], "--model", folder, stdin=Terminal)
    assert (code, out) == (0, f"{written(stack, ['/hello']).strip()}\n")
    assert "did you mean '/program'?" in err
    assert "/policy NAME" in err


def test_a_model_without_a_template_is_refused(talk, llama_folder):
    code, _, err = talk(["hello"], "--model", llama_folder)
    assert code == 2
    assert "no chat template" in err


def test_settings_of_draws_are_of_draws(talk, folder):
    code, _, err = talk(["hello"], "--model", folder, "--seed", "1")
    assert code == 2 and "--temperature" in err
    drawn = {
        seed: talk(["hello", "hello"], "--model", folder, "--temperature", "1", "--seed", seed)[1]
        for seed in ("1", "1", "2")
    }
    assert len(set(drawn.values())) == 2


def conversation(stack, **settings):
    policy = FixedPolicy([Program.identity(stack.n_layers)], "identity")
    options = Options(max_new_tokens=6)
    return Conversation(stack, policy, options, **{"seed": 0, "system": ""} | settings)


def test_the_system_is_told_first(stack):
    talk = conversation(stack, system="be short")
    talk.clear()
    (expected,) = stack.generate(
        ["s: be short\nu: hello\na: "], Program.identity(6), max_new_tokens=6
    )
    assert talk.answer("hello", Answers([], strips=True).told).text == expected.text


def test_an_interrupted_answer_is_remembered_as_far_as_it_was_written(stack):
    told = []

    def stop(_, text):
        told.append(text)
        if len(told) == 3:
            raise KeyboardInterrupt

    talk = conversation(stack)
    with pytest.raises(KeyboardInterrupt):
        talk.answer("hello", stop)
    again = talk.answer("and on", lambda *_: None)
    assert again.text == written(stack, ["hello", told[-1], "and on"])


def test_a_conversation_that_is_too_long_is_refused_and_not_remembered(stack):
    talk = conversation(stack)
    with pytest.raises(BatchError):
        talk.answer("a" * 9000, lambda *_: None)
    assert talk.answer("hello", lambda *_: None).text == written(stack, ["hello"])


def test_an_answer_without_numbers_is_refused(stack, monkeypatch):
    identity = Program.identity(stack.n_layers)
    ended = Completion("", (), math.nan, identity, "nan", batch_shape=(1, 1))
    column = TokenColumn((), torch.tensor([]), torch.tensor([]), {0: ended})
    talk = conversation(stack)
    with monkeypatch.context() as patched, pytest.raises(ProgramError, match="not numbers"):
        patched.setattr(stack, "stream", lambda *_: iter([column]))
        talk.answer("hello", lambda *_: None)
    assert talk.answer("hello", lambda *_: None).text == written(stack, ["hello"])
