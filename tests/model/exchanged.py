"""What tests of formats share: a stand-in for a model, and programs that hypothesis draws."""

from types import SimpleNamespace

from hypothesis import strategies as st

from skiploop import Program
from skiploop.exchange.contents import Contents, Judged
from skiploop.exchange.formats import find_format
from skiploop.exchange.reading import Source

N_LAYERS = 8
MODEL = SimpleNamespace(name="owner/model", n_layers=N_LAYERS, dtype="torch.bfloat16")
IDENTITY = Program.identity(N_LAYERS)
PROGRAMS = tuple(
    Program.parse(text, N_LAYERS) for text in ("identity", "1:3x0", "2:5x2", "0:1x0 4:6x3 7:8x0")
)
QUESTIONS = (
    Judged("2 + 3?", "5", PROGRAMS[:2], PROGRAMS[2:]),
    Judged("What is \\frac{1}{2} of 4?", "2", (), (IDENTITY,)),
    Judged("A town 'x'\nhas 3 wells, 7 more. Sum?", "10", (PROGRAMS[2],), (IDENTITY,)),
)


@st.composite
def programs(draw, *, loops=True):
    """A program of a few edits that leaves some layer to run."""
    runs = st.sampled_from([0, 1, 2, 3] if loops else [0, 1])
    path = []
    layer = 0
    while layer < N_LAYERS:
        size = draw(st.integers(1, N_LAYERS - layer))
        path += [*range(layer, layer + size)] * draw(runs)
        layer += size
    return Program.from_path(path or range(N_LAYERS), N_LAYERS)


@st.composite
def judged(draw, *, only_identity_wrong=False):
    """A question with verdicts on some programs, the identity among them."""
    tried = draw(st.lists(programs(), max_size=6, unique=True))
    tried = [IDENTITY, *(program for program in tried if not program.is_identity)]
    right = draw(st.lists(st.booleans(), min_size=len(tried), max_size=len(tried)))
    chosen = [program for program, is_right in zip(tried, right, strict=True) if is_right]
    others = [program for program in tried if program not in chosen]
    if only_identity_wrong:
        others = [program for program in others if program.is_identity]
    texts = st.text("abc +?\u00e9", min_size=1).map(str.strip).filter(bool)
    return Judged(draw(texts), draw(texts), tuple(chosen), tuple(others))


def written(name, contents, folder):
    """Return the file of a format with some contents."""
    out = folder / f"{name}.file"
    find_format(name, "export").write(out, contents, MODEL)
    return out


def read(name, path, **more):
    return find_format(name, "import").read(Source(path, N_LAYERS, **more))


def round_trip(name, contents, folder):
    return read(name, written(name, contents, folder))


def of_programs(*some):
    return Contents(programs=tuple(dict.fromkeys(some)))
