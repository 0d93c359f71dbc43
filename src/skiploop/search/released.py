"""The tree search that PoLar's authors released, rule by rule, driven from outside.

It differs from what the paper says: blocks of up to four layers are edited at the root alone and
single layers below it, every child is made at once and one of them is run at random, a child that
has not run is never preferred, and all questions start with the same random numbers. A walk that
ends at a program which has run pays out the reward of the walk before it.

Source: tianyi-lab/PoLar at commit c86d76e, `mcts_discovery`, of September 2026.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from skiploop.errors import ProgramError
from skiploop.programs.program import Program
from skiploop.search.protocol import Outcome
from skiploop.search.rules import released_bound

SEED = 42
"""Of every question."""

SIMULATIONS = 100
"""Walks for each question, where nobody says how many."""

JUMP = 0.1
"""Chance of a random step in place of the best one."""

MAX_BLOCK = 4
MAX_RUNS = 2

_WINDOWS = {24: (16, 28), 28: (16, 32), 36: (24, 44), 48: (36, 54)}
"""Fewest and most layer passes by the layers of the models that it was made for."""

Path = tuple[int, ...]


def length_window(n_layers: int) -> tuple[int, int]:
    """Return the fewest and the most layer passes of a program.

    For models of other depths, which the released code refuses, two thirds and seven sixths of
    their layers.
    """
    return _WINDOWS.get(n_layers, (math.ceil(n_layers * 2 / 3), n_layers * 7 // 6))


@dataclass(eq=False)
class Node:
    """One path in the tree.

    Attributes:
        path: Layers in the order in which they run.
        parent: One edit before; None for the root.
        children: One edit further.
        visits: Walks through it.
        reward: Sum of what they paid.
        bound: By which it is preferred.
        has_run: Whether its own reward is known.
        is_exhausted: Whether there is nothing more to reach.
    """

    path: Path
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)
    visits: int = 0
    reward: float = 0.0
    bound: float = -math.inf
    has_run: bool = False
    is_exhausted: bool = False


class ReleasedTree:
    """The search for one question.

    Paths that no `Program` describes are left out: in a block that runs twice, one of the layers of
    one of its runs is skipped.

    Args:
        n_layers: Layers of the model.
        simulations: Walks, some of which propose nothing.
    """

    def __init__(self, n_layers: int, simulations: int = SIMULATIONS) -> None:
        self.n_layers = n_layers
        self.root = Node(Program.identity(n_layers).path)
        self._n_left = simulations
        self._fewest, self._most = length_window(n_layers)
        self._rng = random.Random(SEED)
        self._visited = {self.root.path}
        self._asked: Node | None = None
        self._last_reward = 0.0

    def ask(self, n: int) -> list[Program]:
        """Propose the next program to evaluate, the identity first; none at the end.

        Args:
            n: How many at most; never more than one comes, as the next one depends on it.

        Raises:
            ProgramError: The last program was not told.
        """
        if self._asked is not None:
            raise ProgramError(f"tell what came out of {self._asked.path} before the next program")
        if not self.root.has_run:
            self._asked = self.root
        while self._asked is None and self._n_left:
            self._n_left -= 1
            node = self._walk()
            if node.has_run:
                self._pay(node, self._last_reward)
            else:
                self._asked = node
        return [] if self._asked is None else [self._program(self._asked.path)]

    def tell(self, program: Program, outcome: Outcome) -> None:
        """Report what came out of the proposed program; only a right answer is worth something.

        Raises:
            ProgramError: It was not asked for.
        """
        node = self._asked
        if node is None or program.path != node.path:
            raise ProgramError(f"program {program} was not asked for, or was told already")
        self._asked = None
        node.has_run = True
        self._last_reward = float(outcome.correct is True)
        if node is not self.root:
            self._pay(node, self._last_reward)

    def walk_to(self, program: Program) -> list[Program]:
        """Return the way from the root to the program that was asked for and is not told yet.

        Raises:
            ProgramError: It is no such program.
        """
        node = self._asked
        if node is None or program.path != node.path:
            raise ProgramError(f"program {program} was not asked for, or was told already")
        walk = []
        while node is not None:
            walk.append(self._program(node.path))
            node = node.parent
        return walk[::-1]

    def _walk(self) -> Node:
        node = self.root
        while node.children:
            open_children = [child for child in node.children if not child.is_exhausted]
            if not open_children:
                break
            if self._rng.random() < JUMP:
                node = self._rng.choice(open_children)
            else:
                node = max(open_children, key=lambda child: child.bound)
        if node.is_exhausted:
            return node
        for path in self._further(node):
            self._visited.add(path)
            node.children.append(Node(path, node))
        if node.children:
            return self._rng.choice(sorted(node.children, key=lambda child: child.path))
        node.is_exhausted = True
        return node

    def _pay(self, node: Node, reward: float) -> None:
        at: Node | None = node
        while at is not None:
            at.visits += 1
            at.reward += reward
            at.bound = released_bound(
                at.reward,
                at.visits,
                root_visits=self.root.visits,
                n_slots=len(at.path),
                n_layers=self.n_layers,
            )
            if at.children and all(child.is_exhausted for child in at.children):
                at.is_exhausted = True
            at = at.parent

    def _further(self, node: Node) -> Iterator[Path]:
        """Yield the paths one edit further that are not in the tree, in the released order."""
        path, longest = node.path, MAX_BLOCK if node is self.root else 1
        for start in range(len(path)):
            stops = range(start + 1, min(start + longest, len(path)) + 1)
            skipped = [path[:start] + path[stop:] for stop in stops]
            repeated = [path[:stop] + path[start:] for stop in stops]
            for edited in (*skipped, *repeated):
                if edited not in self._visited and self._is_allowed(edited):
                    yield edited

    def _is_allowed(self, path: Path) -> bool:
        return (
            self._fewest <= len(path) <= self._most
            and max(Counter(path).values(), default=0) <= MAX_RUNS
            and _is_program(path, self.n_layers)
        )

    def _program(self, path: Path) -> Program:
        return Program.from_path(path, self.n_layers)


def _is_program(path: Sequence[int], n_layers: int) -> bool:
    try:
        Program.from_path(path, n_layers)
    except ProgramError:
        return False
    return True
