"""Layer passes: what a path says of an entry beyond which layer runs. No torch.

A layer may be given a mix of earlier states in place of those before it, and what it adds to the
states may be scaled.
"""

from __future__ import annotations

from typing import Self

Mix = tuple[tuple[int, float], ...]
"""What a layer is given: (how many positions before the last one, weight), the oldest first."""


class LayerPass(int):
    """A layer in a path that is given a mix, or whose part is scaled, or both.

    Attributes:
        mix: What it is given; empty for the states before it.
        scale: What its addition to the states is multiplied by.

    Guarantees:
        It is a layer index, but equal only to the same layer with the same mix and scale: two paths
        that start with equal entries lead to the same states.
    """

    mix: Mix
    scale: float

    @classmethod
    def of(cls, layer: int, mix: Mix = (), scale: float = 1.0) -> Self:
        """Return a layer that is given a mix or scaled."""
        found = cls(layer)
        found.mix, found.scale = mix, scale
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LayerPass) and _key(self) == _key(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(_key(self))

    def __lt__(self, other: int) -> bool:
        return _key(self) < _key(other)

    def __gt__(self, other: int) -> bool:
        return _key(self) > _key(other)

    def __le__(self, other: int) -> bool:
        return _key(self) <= _key(other)

    def __ge__(self, other: int) -> bool:
        return _key(self) >= _key(other)

    def __repr__(self) -> str:
        return f"LayerPass.of({int(self)}, {self.mix}, {self.scale})"


def mix_of(step: int) -> Mix:
    """Return what an entry of a path is given; nothing where it is the state before it."""
    return step.mix if isinstance(step, LayerPass) else ()


def scale_of(step: int) -> float:
    """Return what the addition of an entry of a path is multiplied by: 1 for a layer as it is."""
    return step.scale if isinstance(step, LayerPass) else 1.0


def _key(step: int) -> tuple[int, Mix, float]:
    return int(step), mix_of(step), scale_of(step)
