"""Monte-Carlo tree search over the programs of one question, driven from outside.

`ask` proposes programs, `tell` reports what came out: the protocol of every searcher.

A node is a program, whatever order of edits led to it (a transposition is one node). From the
root, the identity, the search walks down to the child with the best score until it meets a node
that may have another child, and proposes a random further edit there.

Source: arXiv 2606.06574, sections 3.1 and B.2-B.3.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from skiploop.errors import ConfigError, ProgramError
from skiploop.programs.program import Program
from skiploop.programs.segment import Segment
from skiploop.programs.space import ProgramSpace
from skiploop.search.protocol import Outcome
from skiploop.search.rules import n_children_allowed, upper_confidence_bound


@dataclass(frozen=True, kw_only=True)
class TreeRules:
    """The constants of the search.

    Attributes:
        exploration: Weight of the uncertainty in the score (c).
        length_penalty: Cost of running all layers once in the score (lambda).
        random_share: Chance to try a new edit where widening would not yet allow one (epsilon).
        widening_coefficient: Children allowed after one visit (alpha).
        widening_exponent: How fast more visits allow more children (beta), in 0..1.

    Raises:
        ConfigError: A constant is out of range.
    """

    exploration: float = 1.414
    length_penalty: float = 5.0
    random_share: float = 0.0
    widening_coefficient: float = 2.0
    widening_exponent: float = 0.5

    def __post_init__(self) -> None:
        shares = (self.random_share, self.widening_exponent)
        if not all(0 <= share <= 1 for share in shares):
            raise ConfigError(f"random_share and widening_exponent are {shares}: give 0 to 1")
        weights = (self.exploration, self.length_penalty, self.widening_coefficient)
        if min(weights) < 0:
            raise ConfigError(
                f"exploration, length_penalty, widening_coefficient are {weights}: give 0 or more"
            )


@dataclass(eq=False)
class Node:
    """One program in the tree.

    Attributes:
        program: What would run here.
        untried: Legal further edits that have not been proposed from here.
        visits: Evaluations in the subtree, the proposed ones included.
        reward: Right answers told in the subtree.
        children: Programs one edit further.
        is_told: Whether the outcome of this very program is known.
        is_exhausted: Whether every program that can be reached from here was proposed and told.
    """

    program: Program
    untried: list[Segment]
    visits: int = 0
    reward: float = 0.0
    children: list[Node] = field(default_factory=list)
    is_told: bool = False
    is_exhausted: bool = False


class Tree:
    """The search for one question.

    Args:
        space: Programs that may be proposed.
        seed: Seed of the random edits.
        rules: Constants of the search.

    Guarantees:
        No program is proposed twice. Constant rewards give edits at uniform positions
        (tests/unit/test_tree.py).

    Cost:
        One ask takes time proportional to the legal edits of one program; about 10 kB a node.

    Example:
        >>> tree = Tree(ProgramSpace(8), seed=0)
        >>> print(*tree.ask(1))
        identity
    """

    def __init__(self, space: ProgramSpace, seed: int, rules: TreeRules | None = None) -> None:
        self.space = space
        self.rules = rules or TreeRules()
        self._rng = random.Random(seed)
        self._nodes: dict[Program, Node] = {}
        self._walks: dict[Program, list[Node]] = {}
        self.root = self._add_node(Program.identity(space.n_layers))

    def ask(self, n: int) -> list[Program]:
        """Propose the next programs to evaluate, the identity first.

        Several programs may be asked for before their outcomes are told; each counts as a visit
        without reward until then. The published search asks for one at a time.

        Args:
            n: How many at most.

        Returns:
            Programs that were not proposed before, fewer if no others can be reached now.
        """
        proposed: list[Program] = []
        while len(proposed) < n and (program := self._next()):
            proposed.append(program)
        return proposed

    def _next(self) -> Program | None:
        is_started = self.root.is_told or self.root.program in self._walks
        walk = self._walk_from([self.root]) if is_started else [self.root]
        if not walk:
            return None
        for node in walk:
            node.visits += 1
        program = walk[-1].program
        self._walks[program] = walk
        return program

    def tell(self, program: Program, outcome: Outcome) -> None:
        """Report what came out of a proposed program.

        Args:
            program: One that `ask` returned.
            outcome: A right answer is worth 1, a wrong one 0. If it could not be graded, the visit
                is taken back and the search does not go through this program again, unless it is
                the root.

        Raises:
            ProgramError: The program was not asked for or was told already.
        """
        walk = self._walks.pop(program, None)
        if walk is None:
            raise ProgramError(f"program {program} was not asked for, or was told already")
        node = walk[-1]
        node.is_told = True
        if outcome.correct is not None:
            for visited in walk:
                visited.reward += outcome.correct
            return
        for visited in walk:
            visited.visits -= 1
        if node is not self.root:
            walk[-2].children.remove(node)

    def walk_to(self, program: Program) -> list[Program]:
        """Return the way from the root to a program that was asked for and is not told yet.

        Raises:
            ProgramError: It is no such program.
        """
        if program not in self._walks:
            raise ProgramError(f"program {program} was not asked for, or was told already")
        return [node.program for node in self._walks[program]]

    def nodes(self) -> Iterator[Node]:
        """Yield every node in the order in which it was proposed."""
        yield from self._nodes.values()

    def _add_node(self, program: Program) -> Node:
        untried = self.space.edits(program)
        self._rng.shuffle(untried)
        node = self._nodes[program] = Node(program, untried)
        return node

    def _walk_from(self, walk: list[Node]) -> list[Node]:
        """Extend a walk down to a new node; empty if none can be reached from its end now."""
        node = walk[-1]
        if self._may_widen(node) and (child := self._new_child(node)):
            return [*walk, child]
        open_children = [c for c in node.children if c.is_told and not c.is_exhausted]
        for child in sorted(open_children, key=self._score, reverse=True):
            if found := self._walk_from([*walk, child]):
                return found
        if child := self._new_child(node):  # everything below is used up: widen after all
            return [*walk, child]
        node.is_exhausted = all(c.is_told and c.is_exhausted for c in node.children)
        return []

    def _may_widen(self, node: Node) -> bool:
        allowed = n_children_allowed(
            node.visits,
            coefficient=self.rules.widening_coefficient,
            exponent=self.rules.widening_exponent,
        )
        at_random = self.rules.random_share and self._rng.random() < self.rules.random_share
        return len(node.children) < allowed or bool(at_random)

    def _new_child(self, node: Node) -> Node | None:
        """Add a child by a random untried edit; known programs on the way become children too."""
        while node.untried:
            program = node.program.with_edit(node.untried.pop())
            known = self._nodes.get(program)
            if known is None:
                child = self._add_node(program)
                node.children.append(child)
                return child
            if known.is_told and known.visits:
                node.children.append(known)
        return None

    def _score(self, node: Node) -> float:
        return upper_confidence_bound(
            node.reward,
            node.visits,
            simulations=max(self.root.visits, 1),
            n_slots=node.program.n_slots,
            n_layers=self.space.n_layers,
            exploration=self.rules.exploration,
            length_penalty=self.rules.length_penalty,
        )
