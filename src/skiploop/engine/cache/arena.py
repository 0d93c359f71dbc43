"""Tensors of any size in one buffer of fixed length, page by page.

Tensors that are kept for long, among others that come and go, leave holes in the memory of a
process when they are dropped: a search went on growing after its budget was full. Pages fit into
any hole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

PAGE = 1024  # bytes


@dataclass(frozen=True, eq=False)
class Stored:
    """Where some tensors are.

    Attributes:
        pages: Numbers of the pages that hold their bytes, one tensor after the other.
        shapes, dtypes: Of each tensor.
    """

    pages: Tensor
    shapes: tuple[torch.Size, ...]
    dtypes: tuple[torch.dtype, ...]

    @property
    def n_bytes(self) -> int:
        """Memory of all pages."""
        return len(self.pages) * PAGE


class PagedMemory:
    """A buffer in pages; it takes no memory where nothing was ever written."""

    def __init__(self, max_bytes: int) -> None:
        self._n_pages = max_bytes // PAGE
        self._n_touched = 0  # the first pages; all others were never written
        self._released: list[int] = []
        self._buffer = torch.empty(0, PAGE, dtype=torch.uint8)

    @property
    def n_bytes(self) -> int:
        """Bytes of all pages."""
        return self._n_pages * PAGE

    @property
    def n_free(self) -> int:
        """Bytes of the pages that hold nothing."""
        return (self._n_pages - self._n_touched + len(self._released)) * PAGE

    def write(self, tensors: Sequence[Tensor]) -> Stored:
        """Copy tensors into free pages; there must be enough."""
        if len(self._buffer) == 0:
            self._buffer = self._buffer.new_empty(self._n_pages, PAGE, device=tensors[0].device)
        flat = torch.cat([tensor.contiguous().flatten().view(torch.uint8) for tensor in tensors])
        n_pages = n_bytes(tensors) // PAGE
        flat = torch.nn.functional.pad(flat, (0, n_pages * PAGE - len(flat)))
        pages = torch.tensor(self._take(n_pages), device=flat.device)
        self._buffer[pages] = flat.view(n_pages, PAGE)
        shapes = tuple(tensor.shape for tensor in tensors)
        return Stored(pages, shapes, tuple(tensor.dtype for tensor in tensors))

    def read(self, stored: Stored) -> tuple[Tensor, ...]:
        """Return copies of tensors."""
        flat = self._buffer.index_select(0, stored.pages).flatten()
        tensors, at = [], 0
        for shape, dtype in zip(stored.shapes, stored.dtypes, strict=True):
            stop = at + shape.numel() * dtype.itemsize
            tensors.append(flat[at:stop].view(dtype).view(shape))
            at = stop
        return tuple(tensors)

    def release(self, stored: Stored) -> None:
        """Give the pages of tensors back."""
        self._released += stored.pages.tolist()

    def _take(self, n_pages: int) -> list[int]:
        """Return pages that hold nothing, those that were written before first."""
        n_again = min(n_pages, len(self._released))
        taken = [self._released.pop() for _ in range(n_again)]
        first = self._n_touched
        self._n_touched += n_pages - n_again
        return [*taken, *range(first, self._n_touched)]


@dataclass(frozen=True, eq=False)
class Copies:
    """Copies of tensors.

    Attributes:
        tensors: The copies.
        n_bytes: Memory of as many pages as they would need.
    """

    tensors: tuple[Tensor, ...]
    n_bytes: int


class DeviceMemory:
    """Copies on a device, whose allocator knows holes; pages would make the host wait for it."""

    def __init__(self, max_bytes: int) -> None:
        self.n_bytes = self.n_free = max_bytes

    def write(self, tensors: Sequence[Tensor]) -> Copies:
        """Copy tensors; there must be enough room."""
        copies = Copies(tuple(tensor.clone() for tensor in tensors), n_bytes(tensors))
        self.n_free -= copies.n_bytes
        return copies

    def read(self, stored: Copies) -> tuple[Tensor, ...]:
        """Return the copies, which are not to be changed."""
        return stored.tensors

    def release(self, stored: Copies) -> None:
        """Count the room of tensors as free; it is when nobody has them any more."""
        self.n_free += stored.n_bytes


def n_bytes(tensors: Sequence[Tensor]) -> int:
    """Return the memory of the pages that tensors need."""
    return in_pages(sum(tensor.nbytes for tensor in tensors))


def in_pages(n_bytes: int) -> int:
    """Return the memory of the pages that so many bytes need."""
    return math.ceil(n_bytes / PAGE) * PAGE
