"""Search trees, node by node."""

import hashlib
import itertools

import families
from parity import ParityTask

import skiploop
from skiploop import ProgramSpace
from skiploop.search.protocol import Outcome
from skiploop.search.tree import Tree, TreeRules

RULES = {
    "default": TreeRules(),
    "short programs": TreeRules(length_penalty=40.0, exploration=0.5),
    "wide": TreeRules(random_share=0.3, widening_coefficient=1.0, widening_exponent=0.7),
}


def without_a_model():
    """Return trees of all rules whose verdicts are a hash: right, wrong, or not to be graded."""
    return {
        f"{name}, {ahead} at once": _grown(Tree(ProgramSpace(12), seed, rules), ahead, _hashed)
        for seed, ((name, rules), ahead) in enumerate(itertools.product(RULES.items(), (1, 4)))
    }


def on_a_model():
    """Return the trees of two questions on a tiny model, judged by the table of verdicts."""
    stack, task = families.load("llama"), ParityTask()

    def judged(example):
        def verdict(program):
            ((found,),) = skiploop.score_grid(stack, task, [example], [program])
            return bool(found)

        return verdict

    space = ProgramSpace(stack.n_layers)
    return {
        example.id: _grown(Tree(space, seed), 1, judged(example), n_asks=40)
        for seed, example in enumerate(task.examples("train", 2))
    }


def _grown(tree, ahead, verdict, n_asks=60):
    """Ask for some programs before each telling, and return the rows of all nodes."""
    for _ in range(n_asks // ahead):
        for program in tree.ask(ahead):
            tree.tell(program, Outcome(verdict(program)))
    nodes = list(tree.nodes())
    number_of = {id(node): number for number, node in enumerate(nodes)}
    return [
        [str(n.program), n.visits, n.reward, [number_of[id(child)] for child in n.children]]
        for n in nodes
    ]


def _hashed(program):
    digest = hashlib.sha256(str(program).encode()).digest()
    return None if digest[1] < 12 and program.edits else digest[0] % 2 == 1
