"""Programs: which layers of a frozen model run, how often, and in which order.

A program is a value: immutable, hashable, printable, made without torch. It lists the blocks of
layers that do not run exactly once; all other layers run once, in order. A repeated block may be
damped (`skiploop.programs.damping`); what layers add to the states may be scaled.

Source: arXiv 2606.06574, section 3.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from skiploop.arguments import instance, listed, shown, whole_number
from skiploop.errors import ProgramError
from skiploop.programs.damping import steps
from skiploop.programs.segment import Segment

_IDENTITY_TEXT = "identity"

MAX_SLOTS = 10_000
"""Most layers, and most layer passes, of a program: more is a typing error, not a wish."""


@dataclass(frozen=True)
class Program:
    """Edits over the plain forward pass of a model with `n_layers` layers.

    Two programs are equal exactly if they execute the same layers in the same order, with the same
    anchors where loops are damped and the same scales where layers are scaled.

    Attributes:
        n_layers: Layers of the model, the skipped ones included.
        edits: Blocks that do not run once, or scaled, in layer order, not overlapping.

    Raises:
        ProgramError: An edit changes nothing, lies outside `0..n_layers`, overlaps the one before
            it, is one with the one before it (two skips, or two blocks that run once with the same
            scale) or is no `Segment`; or no layer runs, or over `MAX_SLOTS`, or none after a damped
            loop.

    Example:
        >>> program = Program.parse("3:5x0 6:8x2", n_layers=10)
        >>> program.path
        (0, 1, 2, 5, 6, 7, 6, 7, 8, 9)
        >>> str(program), program.n_slots
        ('3:5x0 6:8x2', 10)
    """

    n_layers: int
    edits: tuple[Segment, ...] = ()

    def __post_init__(self) -> None:
        n_layers = whole_number(
            "n_layers", self.n_layers, at_least=1, at_most=MAX_SLOTS, error=ProgramError
        )
        object.__setattr__(self, "n_layers", n_layers)
        before: Segment | None = None
        object.__setattr__(self, "edits", _as_segments("edits", self.edits))
        for edit in self.edits:
            self._check_edit(edit, before)
            before = edit
        self._check_damped()
        if self.n_slots > MAX_SLOTS:
            raise ProgramError(
                f"program {self} has {self.n_slots} layer passes: give fewer than {MAX_SLOTS}"
            )
        if not self.n_slots:
            raise ProgramError(
                f"program {self} skips all {self.n_layers} layers: keep at least one of them"
            )

    def _check_edit(self, edit: Segment, before: Segment | None) -> None:
        if edit.changes_nothing:
            raise ProgramError(
                f"edit {edit} changes nothing: layers run once unless told otherwise"
            )
        if edit.stop > self.n_layers:
            raise ProgramError(
                f"edit {edit} ends after layer {self.n_layers - 1}, the last of {self.n_layers}: "
                "was the program made for another model?"
            )
        if before is None:
            return
        if edit.start < before.stop:
            raise ProgramError(
                f"edit {edit} starts before {before} ends: "
                "list edits in layer order, each layer in one of them"
            )
        if _are_one(before, edit):
            raise ProgramError(
                f"edits {before} and {edit} are one: write {replace(before, stop=edit.stop)}"
            )

    def _check_damped(self) -> None:
        end = self.n_layers
        if self.edits and self.edits[-1].runs == 0 and self.edits[-1].stop == end:
            end = self.edits[-1].start
        for edit in self.edits:
            if edit.anchor is not None and edit.stop == end:
                raise ProgramError(
                    f"no layer runs after the damped loop {edit}: let it end before the last one"
                )

    @classmethod
    def identity(cls, n_layers: int) -> Program:
        """Return the program of the plain model: every layer once."""
        return cls(n_layers)

    @classmethod
    def parse(cls, text: str, n_layers: int) -> Program:
        """Read the text form, the inverse of `str()`.

        Args:
            text: Edits such as `3:5x0 6:8x2` (skip layers 3 and 4, run 6 and 7 twice),
                `12:16x3~0.5` (three damped passes over 12 to 15) or `20:22x1*1.5` (what layers 20
                and 21 add, times 1.5), or `identity`.
            n_layers: Layers of the model.

        Raises:
            ProgramError: A part is no segment, or the edits are not a program.
        """
        return cls(n_layers, cls.read_edits(text))

    @staticmethod
    def read_edits(text: str) -> tuple[Segment, ...]:
        """Read the edits of a text form, without knowing the model they are for.

        Raises:
            ProgramError: A part is no segment.
        """
        if not isinstance(text, str):
            raise ProgramError(
                f"{shown(text)} is no program text: write '3:5x0 6:8x2' or 'identity'"
            )
        if text.strip() == _IDENTITY_TEXT:
            return ()
        edits = []
        for part in text.split():
            try:
                edits.append(Segment.parse(part))
            except ProgramError as error:
                raise ProgramError(
                    f"in program {text!r}: {error}; write edits such as '3:5x0 6:8x2', or "
                    "'identity'"
                ) from error
        if not edits:
            raise ProgramError("the program text is empty: write 'identity' for the plain model")
        return tuple(edits)

    @classmethod
    def from_path(cls, path: Sequence[int], n_layers: int) -> Program:
        """Read a path: the layer indices in the order in which they run.

        Accepted are exactly the paths made of neighbouring blocks of layers, in layer order,
        each executed 0, 1, 2, ... times before the next one starts.

        Args:
            path: Layer indices, also as an array.
            n_layers: Layers of the model.

        Raises:
            ProgramError: The path is no program; the message names the position.
        """
        n_layers = cls.identity(n_layers).n_layers
        entries = listed("path", path, of="layers", error=ProgramError)
        if not entries:
            raise ProgramError("the path is empty: at least one layer must run")
        path = [
            whole_number(f"path position {position}", entry, error=ProgramError)
            for position, entry in enumerate(entries)
        ]
        for position, entry in enumerate(path):
            if not 0 <= entry < n_layers:
                raise ProgramError(
                    f"path position {position} holds layer {entry}, outside 0..{n_layers - 1}"
                )
        segments = []
        layer = position = 0
        while position < len(path):
            start = path[position]
            if start < layer:
                raise ProgramError(
                    f"path position {position} goes back to layer {start} after layer "
                    f"{path[position - 1]}: a block may only be run again directly after itself"
                )
            if start > layer:
                segments.append(Segment(layer, start, 0))
            block, runs = _block_at(path, position)
            segments.append(Segment(start, start + block, runs))
            layer = start + block
            position += block * runs
        if layer < n_layers:
            segments.append(Segment(layer, n_layers, 0))
        return cls(n_layers, tuple(s for s in segments if not s.changes_nothing))

    @classmethod
    def from_segments(cls, segments: Iterable[Segment], n_layers: int) -> Program:
        """Read a full cover: segments that follow each other from layer 0 to the last one.

        Args:
            segments: Every layer in exactly one of them; kept ones (`runs == 1`) included.
            n_layers: Layers of the model.

        Raises:
            ProgramError: There is a gap or an overlap, or nothing is left to run.
        """
        n_layers = cls.identity(n_layers).n_layers
        layer = 0
        edits: list[Segment] = []
        for segment in _as_segments("segments", segments):
            if segment.start != layer:
                raise ProgramError(
                    f"segment {segment} starts at layer {segment.start}, expected {layer}: "
                    "a cover starts at layer 0 and has no gap and no overlap"
                )
            layer = segment.stop
            if not segment.changes_nothing:
                _append_edit(edits, segment)
        if layer != n_layers:
            raise ProgramError(f"the segments end at layer {layer}, expected {n_layers}")
        return cls(n_layers, tuple(edits))

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Program:
        """Read the form that `to_json` returns; unknown keys are refused."""
        is_program = isinstance(data, Mapping) and set(data) == {"n_layers", "edits"}
        edits = data["edits"] if is_program else None
        if not isinstance(edits, list) or type(data["n_layers"]) is not int:
            raise ProgramError(
                f"{shown(data)} is not a program: expected "
                '{"n_layers": N, "edits": [{"start": I, "stop": J, "runs": R}, ...]}'
            )
        return cls(data["n_layers"], tuple(map(Segment.from_json, edits)))

    def to_json(self) -> dict[str, object]:
        """Return plain data that `json.dumps` accepts; the inverse of `from_json`."""
        return {"n_layers": self.n_layers, "edits": [edit.to_json() for edit in self.edits]}

    def with_edit(self, edit: Segment) -> Program:
        """Return this program with one more block changed.

        Args:
            edit: A block of layers that no edit of this program holds. A skip next to a skip joins
                it, as a block does that runs once with the same scale.

        Raises:
            ProgramError: A layer of the block is already edited, or nothing is left to run.
        """
        edits: list[Segment] = []
        (edit,) = _as_segments("edit", (edit,))
        for segment in sorted((*self.edits, edit), key=lambda e: (e.start, e.stop)):
            _append_edit(edits, segment)
        return Program(self.n_layers, tuple(edits))

    @cached_property
    def path(self) -> tuple[int, ...]:
        """Layer indices in the order in which they run. One entry is one slot."""
        path: list[int] = []
        layer = 0
        for edit in self.edits:
            path += range(layer, edit.start)
            path += [*range(edit.start, edit.stop)] * edit.runs
            layer = edit.stop
        return (*path, *range(layer, self.n_layers))

    @cached_property
    def layer_inputs(self) -> tuple[int, ...]:
        """The path, with a `LayerPass` where a layer is given a mix of earlier states or is scaled.

        Programs whose steps start alike lead to the same states there.
        """
        is_plain = all(edit.is_list_of_layers for edit in self.edits)
        return self.path if is_plain else steps(self.n_layers, self.edits)

    @property
    def n_slots(self) -> int:
        """Executed layer passes, which is also the number of key-value slots."""
        return self.n_layers + sum(len(edit) * (edit.runs - 1) for edit in self.edits)

    @property
    def n_changes(self) -> int:
        """Skipped and scaled layers plus extra passes: how far from the plain model it is."""
        return sum(len(edit) * (abs(edit.runs - 1) + edit.is_scaled) for edit in self.edits)

    @property
    def is_identity(self) -> bool:
        """Whether every layer runs once."""
        return not self.edits

    @property
    def kind(self) -> str:
        """What the program does: `skip`, `loop`, `scale`, several joined by +, or `identity`."""
        does = {
            "skip": any(edit.runs == 0 for edit in self.edits),
            "loop": any(edit.runs > 1 for edit in self.edits),
            "scale": any(edit.is_scaled for edit in self.edits),
        }
        return "+".join(name for name, is_done in does.items() if is_done) or "identity"

    def segments(self, max_block: int) -> tuple[Segment, ...]:
        """Return the canonical full cover with blocks of at most `max_block` layers.

        Blocks that are kept, scaled or skipped are cut from the left, the remainder last; a
        repeated block is never cut, because two halves run twice are another program.

        Raises:
            ProgramError: `max_block` is less than 1.
        """
        max_block = whole_number("max_block", max_block, at_least=1, error=ProgramError)
        cover: list[Segment] = []
        layer = 0
        for edit in (*self.edits, None):
            stop = edit.start if edit else self.n_layers
            if layer < stop:
                cover += Segment(layer, stop, 1).cut(max_block)
            if edit:
                cover += edit.cut(max_block) if edit.runs <= 1 else (edit,)
                layer = edit.stop
        return tuple(cover)

    def __str__(self) -> str:
        return self._text

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _text(self) -> str:
        return " ".join(map(str, self.edits)) or _IDENTITY_TEXT

    @cached_property
    def _hash(self) -> int:
        return hash((self.n_layers, *((e.start, e.stop, e.runs, e.scale) for e in self.edits)))


def shortest_first(program: Program) -> tuple[int, int, tuple[int, ...]]:
    """Return the sort key by which the shortest of several valid programs is chosen.

    Least executed layers, then fewest changes, then the smaller path.
    """
    return program.n_slots, program.n_changes, program.layer_inputs


def _as_segments(name: str, segments: object) -> tuple[Segment, ...]:
    """Return segments as a tuple, so that a program that was given a list is hashable too."""
    found = listed(name, segments, of="segments", error=ProgramError)
    return tuple(
        instance(name, one, Segment, expected="such as Segment(3, 5, 0)", error=ProgramError)
        for one in found
    )


def _append_edit(edits: list[Segment], edit: Segment) -> None:
    """Append `edit`, joined to the one that ends where it starts if both are one."""
    if edits and _are_one(edits[-1], edit):
        edit = replace(edit, start=edits.pop().start)
    edits.append(edit)


def _are_one(before: Segment, edit: Segment) -> bool:
    """Whether two blocks side by side undergo the same, which one block can."""
    alike = (edit.runs, edit.scale) == (before.runs, before.scale)
    return alike and edit.runs <= 1 and before.stop == edit.start


def _block_at(path: Sequence[int], position: int) -> tuple[int, int]:
    """Return the length of the block that starts at `position` and how often it runs there.

    The ascending run from `position` is a repeated block if its own start follows it. If a later
    layer of the run follows it, the layers before that one are a kept block.
    """
    start = path[position]
    end = position + 1
    while end < len(path) and path[end] == path[end - 1] + 1:
        end += 1
    if end == len(path) or path[end] > path[end - 1]:
        return end - position, 1
    # The run is cut by a jump back to path[end]: the layers before it are kept.
    if path[end] > start:
        return path[end] - start, 1
    block = tuple(path[position:end])
    runs = 1
    while tuple(path[position + runs * len(block) : position + (runs + 1) * len(block)]) == block:
        runs += 1
    return len(block), runs
