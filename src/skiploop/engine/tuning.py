"""The numbers of the engine that were measured: what is fast on a kind of device. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What is fast on one kind of device.

    No answer depends on these numbers in float32, but for the last digits of its probability.

    Attributes:
        rows: Most rows of a batch.
        tokens: Most tokens of a batch, padding included: more do not make matrix products faster.
            Fewer where a layer needs much memory for them.
        least_tokens: Tokens of a batch that there is memory for in any case.
        call_flops: What a layer call costs apart from its tokens, in floating-point operations
            that take as long.
        head_rows: Rows whose logits are computed at once after the first pass.
        few: Share of the rows of a batch below which those that are not done wait for those of
            other batches.
        shrink_at: Share of open rows at which the others leave the executor.
        batch_bytes: Bytes of keys and values of one batch where the device does not say what is
            free: larger batches are no faster on a CPU.
        free_share: Share of the free bytes of a GPU that one batch may take; the rest is for what
            layers compute.
        prefix_saves: Share of all layer-token products that a shared prefix must save.
        prefix_memory: Share of the memory budget that one call may use for what its prompts start
            with.
        growth: Tokens for which a full buffer of keys and values gets room.
        alignment: Tokens of which the length of a buffer is a multiple: attention is faster there.
        state_stride: Layer passes after which states are kept again: with 2 they take half the
            memory, and one layer more runs.
        protected: Share of the bytes of kept states that is for those that were used again.
        record_from: Steps from which recording one pays.
        patience: Layer-tokens that run before parts of layers are compiled: running them takes
            about as long as compiling, some seconds.
        least_call: Tokens that a layer call of fewer counts as: launching its kernels takes as
            long.
        job_tokens: New tokens of the answers in one job of a worker, which then takes seconds.
        job_questions: Questions whose searches are one job.
        most_parts: Parts of a model that are compiled, and ways to call one: where all differ,
            compiling takes too long.
    """

    rows: int
    tokens: int
    least_tokens: int = 4096
    call_flops: float
    head_rows: int
    few: float = 0.25
    shrink_at: float = 0.75
    batch_bytes: int = 10**9
    free_share: float = 0.6
    prefix_saves: float = 0.1
    prefix_memory: float = 0.25
    growth: int = 32
    alignment: int = 16
    state_stride: int = 2
    protected: float = 0.8
    record_from: float = math.inf
    patience: float = math.inf
    least_call: int = 2000
    most_parts: int = 8
    job_tokens: int = 4096
    job_questions: int = 8


CPU = Tuning(rows=256, tokens=4096, call_flops=1.7e8, head_rows=64)
CUDA = Tuning(
    rows=4096,
    tokens=2**18,
    call_flops=2e12,
    head_rows=1024,
    record_from=4,
    patience=4_000_000,
    job_tokens=2**18,
    job_questions=64,
)
OTHER = replace(CUDA, record_from=math.inf, patience=math.inf)
"""Of accelerators without CUDA: nothing is recorded or compiled there."""

TUNINGS = {"cpu": CPU, "cuda": CUDA}


def tuning_of(device: torch.device) -> Tuning:
    """Return what is fast on a device."""
    return TUNINGS.get(device.type, OTHER)
