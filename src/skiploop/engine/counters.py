"""What was computed, in figures that do not depend on the machine."""

from __future__ import annotations

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
