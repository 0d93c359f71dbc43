"""What was computed, in figures that do not depend on the machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass
class Work:
    """Counts of everything that the engine has run on one stack since they were last reset.

    Attributes:
        n_calls: Calls of a layer.
        n_sequences: Token sequences in these calls, summed up.
        n_layer_tokens: Tokens in these calls, summed up, padding included.
        cache_bytes: Keys and values held by the last batch.
        peak_cache_bytes: Most that were held at once.
    """

    n_calls: int = 0
    n_sequences: int = 0
    n_layer_tokens: int = 0
    cache_bytes: int = 0
    peak_cache_bytes: int = 0

    @property
    def mean_rows(self) -> float:
        """Token sequences per call of a layer."""
        return self.n_sequences / max(self.n_calls, 1)

    def note_call(self, n_sequences: int, n_tokens: int) -> None:
        """Count one call of a layer on sequences of so many tokens each."""
        self.n_calls += 1
        self.n_sequences += n_sequences
        self.n_layer_tokens += n_sequences * n_tokens

    def note_cache(self, n_bytes: int) -> None:
        """Note how many bytes keys and values take now."""
        self.cache_bytes = n_bytes
        self.peak_cache_bytes = max(self.peak_cache_bytes, n_bytes)

    def to_json(self) -> dict[str, float]:
        """Return the counts and `mean_rows`."""
        return {**asdict(self), "mean_rows": self.mean_rows}


def n_necessary(rows: Sequence[tuple[Sequence[int], Sequence[int]]]) -> int:
    """Return the layer-token products that no way of running some rows can do without.

    One for each different pair of a beginning of the tokens and a beginning of the path.

    Args:
        rows: The tokens that run, and the path, of each row.
    """
    nodes: dict[tuple[int, int], int] = {}

    def beginnings(sequence: Sequence[int]) -> list[int]:
        """Number every beginning of a sequence, equal ones alike."""
        numbers = []
        node = -1
        for entry in sequence:
            node = nodes.setdefault((node, entry), len(nodes))
            numbers.append(node)
        return numbers

    by_path = {tuple(path): beginnings(path) for _, path in rows}
    products: dict[int, set[int]] = {}
    for tokens, path in rows:
        for node in beginnings(tokens):
            products.setdefault(node, set()).update(by_path[tuple(path)])
    return sum(map(len, products.values()))
