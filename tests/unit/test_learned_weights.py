"""What a vote learns from right and wrong answers of every program."""

import math

import pytest
import torch

from skiploop import Program
from skiploop.errors import ConfigError, UnknownNameError
from skiploop.menus.menu import Menu
from skiploop.policies.learned_weights import LearnedWeights, fit_logistic
from skiploop.policies.vote import Ballot, by_probability, count
from skiploop.runs.policies import checked_name

PROGRAMS = tuple(Program.parse(text, 8) for text in ("identity", "2:3x2", "4:6x0"))
N = 200


class Selector:
    """Expects more of longer prompts, whatever the program."""

    menu = Menu(PROGRAMS, "weights", (0.1, 0.2, 0.3))

    def expected(self, prompts):
        return torch.tensor([[len(prompt) / 10] * 3 for prompt in prompts])


def planted():
    """Answers whose probability tells whether they are right, but of a program that never is."""
    generator = torch.Generator().manual_seed(0)
    probability = torch.rand((N, 3), generator=generator)
    right = (torch.rand((N, 3), generator=generator) < probability).float()
    probability[:, 1], right[:, 1] = 0.95, 0.0
    right[0, 0] = math.nan
    return Selector(), torch.full((N, 3), 0.5), probability.log(), right, torch.ones(N)


def weights_of(weigh, probabilities, prompt="2 + 5"):
    logprobs = [p and math.log(p) for p in probabilities]  # None is no answer
    (weights,) = weigh([prompt], [PROGRAMS], [logprobs])
    return weights


def elected(weights, answers="787"):
    ballots = [Ballot(*one) for one in zip(answers, weights, strict=True)]
    return answers[count(ballots).winner]


def test_a_program_that_is_sure_and_always_wrong_is_not_followed():
    probabilities = [0.4, 0.95, 0.4]
    assert elected(weights_of(by_probability, probabilities)) == "8"
    assert elected(weights_of(LearnedWeights(*planted()), probabilities)) == "7"


def test_weights_are_the_shares_of_right_answers_and_0_for_what_is_no_answer():
    learned = LearnedWeights(*planted())
    sure = weights_of(learned, [0.9, 0.95, 0.9])
    unsure = weights_of(learned, [0.1, 0.95, None])
    assert sure[0] > 0.8 > 0.2 > unsure[0] > 0.0 and sure[1] < 0.05
    assert unsure[2] == 0.0
    assert weights_of(learned, [1e-60] * 3)[0] > 0.0  # a long answer is unlikely, yet an answer


def test_weights_belong_to_programs_in_any_order_and_are_learned_alike_again():
    learned = LearnedWeights(*planted())
    given = weights_of(learned, [0.9, 0.95, 0.8])
    logprobs = [math.log(0.8), math.log(0.95), math.log(0.9)]
    assert learned(["2 + 5"], [PROGRAMS[::-1]], [logprobs]) == [given[::-1]]
    assert weights_of(LearnedWeights(*planted()), [0.9, 0.95, 0.8]) == given


def test_what_the_selector_expects_counts_too():
    selector, _, logprob, _, weight = planted()
    expected = torch.rand((N, 3), generator=torch.Generator().manual_seed(1))
    learned = LearnedWeights(selector, expected, logprob, (expected > 0.5).float(), weight)
    assert max(weights_of(learned, [0.5] * 3, prompt="x")) < 0.2
    assert min(weights_of(learned, [0.5] * 3, prompt="x" * 9)) > 0.8


def test_questions_count_by_their_weight():
    selector, expected, _, _, _ = planted()
    right = torch.zeros((N, 3))
    right[: N // 2] = 1.0
    weight = torch.where(torch.arange(N) < N // 2, 1.8, 0.2)
    learned = LearnedWeights(selector, expected, torch.full((N, 3), math.log(0.5)), right, weight)
    assert weights_of(learned, [0.5] * 3) == pytest.approx([0.9] * 3, abs=0.01)


def test_a_logistic_regression_finds_the_odds_and_stays_finite_where_all_are_right():
    ones = torch.ones((400, 1), dtype=torch.float64)
    all_right, weights = torch.ones(400), torch.ones(400)
    quarter = (torch.arange(400) % 4 == 0).float()
    assert float(fit_logistic(ones, quarter, weights)) == pytest.approx(-math.log(3), abs=0.02)
    assert 3 < float(fit_logistic(ones, all_right, weights)) < 10


def test_a_vote_is_named_with_its_number():
    assert checked_name("learned:05") == "learned:5"
    with pytest.raises(ConfigError, match="after 'learned:' comes how many answers vote"):
        checked_name("learned:x")
    with pytest.raises(UnknownNameError, match="did you mean 'learned:K'"):
        checked_name("learnt:5")
