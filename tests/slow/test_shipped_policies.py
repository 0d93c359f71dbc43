"""What the shipped policies choose for the packaged model."""

import pytest

import skiploop
from skiploop.cli.main import main
from skiploop.shipped import shipped_policies

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
N = 200


@pytest.fixture(scope="module")
def stack():
    return skiploop.load("smollm2-135m")


@pytest.mark.parametrize("name", shipped_policies())
def test_a_shipped_policy_is_right_more_often_than_the_plain_model(stack, name):
    policy = skiploop.load_policy(name, stack)
    task = policy.form.made
    examples = task.examples("validation", N)
    prompts = [policy.form.prompt(example.question) for example in examples]
    right = []
    for programs in (skiploop.Program.identity(stack.n_layers), policy.during_prefill()):
        answers = stack.generate(
            prompts, programs, max_new_tokens=policy.form.max_new_tokens, stop=policy.form.stop
        )
        grades = task.grade_many(examples, [answer.text for answer in answers])
        right.append(sum(grade.correct is True for grade in grades))
    assert right[1] > right[0]


def test_a_bare_question_is_answered_on_the_command_line(capsys):
    assert main(["generate", "--policy", "smollm2-135m/arithmetic", "--ask", "65 + 38"]) == 0
    assert capsys.readouterr().out == "103\n"
