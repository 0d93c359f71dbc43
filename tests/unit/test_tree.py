import random

import pytest
from scipy import stats

from skiploop import Program, ProgramSpace
from skiploop.errors import ProgramError
from skiploop.search.protocol import Outcome
from skiploop.search.rules import n_children_allowed, upper_confidence_bound
from skiploop.search.tree import Tree, TreeRules
from skiploop.seeds import derive_seed


def run(tree, budget, verdict):
    """Ask and tell `budget` programs after the identity; return all of them in order."""
    asked = []
    while len(asked) <= budget and (programs := tree.ask(1)):
        asked += programs
        tree.tell(*programs, Outcome(verdict(*programs)))
    return asked


def test_the_score_is_the_published_one(conformance):
    (case,) = (c for c in conformance["search_rules"] if c["id"] == "ucb_value")
    score = upper_confidence_bound(
        case["R"],
        case["v"],
        simulations=case["V"],
        n_slots=case["executed_len"],
        n_layers=case["depth"],
        exploration=case["c"],
        length_penalty=case["lambda"],
    )
    assert score == pytest.approx(case["ucb"], abs=1e-6)
    (cost,) = (c for c in conformance["search_rules"] if c["id"] == "ucb_length_cost")
    constants = {"simulations": 10, "n_layers": 36, "exploration": 1.414, "length_penalty": 5.0}
    one, two = (upper_confidence_bound(1, 2, n_slots=n, **constants) for n in (32, 33))
    assert one - two == pytest.approx(cost["value"], abs=1e-6)


def test_widening_follows_its_formula():
    allowed = [n_children_allowed(v, coefficient=2.0, exponent=0.5) for v in (0, 1, 2, 200)]
    assert allowed == [1, 2, 3, 29]


def test_the_identity_comes_first_and_no_program_comes_twice():
    asked = run(Tree(ProgramSpace(12), seed=3), 300, lambda p: p.n_slots % 2 == 1)
    assert asked[0].is_identity
    assert len(set(asked)) == len(asked) == 301


def test_a_small_space_is_searched_to_its_end():
    for verdict in (False, True, None):
        space = ProgramSpace(4)
        asked = run(Tree(space, seed=0), 10_000, lambda p, v=verdict: v if p.edits else False)
        if verdict is None:  # nothing below an ungraded program is searched
            assert len(asked) == 1 + len(space.single_edits)
        else:
            assert len(asked) == space.count()


def test_constant_verdicts_give_edits_at_uniform_positions():
    space = ProgramSpace(28)
    places = []
    for seed in range(60):
        tree = Tree(space, seed=derive_seed(0, "null", seed))
        run(tree, 60, lambda _: True)
        for node in tree.nodes():
            legal = space.edits(node.program)
            for child in node.children:
                added = set(child.program.edits) - set(node.program.edits)
                if len(added) == 1 and (edit := added.pop()) in legal:
                    places.append(
                        (legal.index(edit) + random.Random(f"{seed} {child.program}").random())
                        / len(legal)
                    )
    assert len(places) > 2_000
    assert stats.kstest(places, "uniform").pvalue > 0.01


def test_a_planted_deep_loop_is_found_within_the_budget(conformance):
    (case,) = (c for c in conformance["search_rules"] if c["id"] == "deep_edit_reachable")

    def is_valid(program):
        return program.path.count(30) >= 2

    asked = run(Tree(ProgramSpace(case["depth"]), seed=1), case["budget"], is_valid)
    valid = [program for program in asked if is_valid(program)]
    assert valid and all(program.path.count(30) >= 2 for program in valid)


def test_a_planted_pair_of_edits_is_found_within_the_budget(conformance):
    (case,) = (c for c in conformance["search_rules"] if c["id"] == "two_edit_reachable")

    def is_valid(program):
        skips_early = any(layer not in program.path for layer in range(8))
        loops_late = any(program.path.count(layer) >= 2 for layer in range(28, 36))
        return skips_early and loops_late

    for seed in range(5):
        asked = run(Tree(ProgramSpace(case["depth"]), seed=seed), case["budget"], is_valid)
        valid = [program for program in asked if is_valid(program)]
        assert valid and all(len(program.edits) >= 2 for program in valid)


def test_a_replayed_tree_is_the_same_tree():
    def verdict(program):
        return derive_seed(str(program)) % 3 == 0

    first, second = (Tree(ProgramSpace(20), seed=7) for _ in range(2))
    assert run(first, 150, verdict) == run(second, 150, verdict)
    told = [(str(n.program), n.visits, n.reward, len(n.children)) for n in first.nodes()]
    assert told == [(str(n.program), n.visits, n.reward, len(n.children)) for n in second.nodes()]
    assert run(Tree(ProgramSpace(20), seed=8), 150, verdict) != run(first, 0, verdict)


def test_many_programs_may_be_asked_before_any_is_told():
    tree = Tree(ProgramSpace(10), seed=0)
    identity, _ = tree.ask(2)  # the tree does not wait for the identity
    tree.tell(identity, Outcome(True))
    asked = tree.ask(20)
    assert len(set(asked)) == 20
    for program in asked:
        tree.tell(program, Outcome(False))
    with pytest.raises(ProgramError, match="told already"):
        tree.tell(asked[0], Outcome(False))


def test_visits_and_rewards_add_up_to_the_root():
    tree = Tree(ProgramSpace(16), seed=0)
    asked = run(tree, 100, lambda p: p.n_slots < 16)
    assert tree.root.visits == 101
    assert tree.root.reward == sum(program.n_slots < 16 for program in asked)


def test_an_ungraded_answer_takes_its_visit_back():
    tree = Tree(ProgramSpace(16), seed=0)
    tree.tell(*tree.ask(1), Outcome(None))
    assert tree.root.visits == 0
    (program,) = tree.ask(1)
    assert program.edits
    tree.tell(program, Outcome(None))
    assert tree.root.visits == 0
    assert program not in [child.program for child in tree.root.children]


def test_right_answers_draw_the_search_to_their_neighbourhood():
    rules = TreeRules(length_penalty=0.0)

    def verdict(program):
        return program.path.count(20) == 2

    guided = run(Tree(ProgramSpace(24), seed=1, rules=rules), 200, verdict)
    blind = run(Tree(ProgramSpace(24), seed=1, rules=rules), 200, lambda _: False)
    assert sum(map(verdict, guided)) > 2 * sum(map(verdict, blind))


def test_a_random_share_widens_before_its_time():
    rules = TreeRules(random_share=1.0)
    tree = Tree(ProgramSpace(24), seed=0, rules=rules)
    run(tree, 50, lambda _: False)
    assert len(tree.root.children) == 50
    assert Program.identity(24) == tree.root.program
