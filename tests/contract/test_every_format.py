"""What every format of other projects must keep."""

import gzip
import importlib.util
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name

import exchanged
import pytest
from exchanged import IDENTITY, MODEL, N_LAYERS, PROGRAMS, QUESTIONS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skiploop import Program
from skiploop.errors import DataError, ProgramError, SkiploopError, UnknownNameError
from skiploop.exchange.contents import Contents
from skiploop.exchange.formats import FORMATS, find_format, names

DOCS = Path(__file__).parents[2] / "docs"
BOTH = [one for one in FORMATS if one.ways == ("import", "export")]
ONE, LISTS, ASKED = (
    [one.name for one in BOTH if one.holds == holds]
    for holds in ("one program", "programs", "questions")
)
SKIPS_ALONE = {"tale"}
every_format = pytest.mark.parametrize("form", FORMATS, ids=lambda one: one.name)
every_way_back = pytest.mark.parametrize("name", [one.name for one in BOTH])
drawn = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def contents_of(name):
    """Return contents that a format can write."""
    if name in ASKED:
        return Contents(questions=QUESTIONS[1:])  # of which every format knows all verdicts
    if name in ONE:
        return Contents(programs=PROGRAMS[3:])
    return Contents(programs=PROGRAMS[:2] if name in SKIPS_ALONE else PROGRAMS)


@every_format
def test_a_format_says_in_one_line_what_it_is_and_has_its_functions(form):
    assert form.does and "\n" not in form.does and "|" not in form.does
    for way, function in (("import", "read"), ("export", "write")):
        assert (way in form.ways) == hasattr(resolve_name(form.module), function)
    assert bool(form.task) == (form.holds == "questions")


def test_no_two_formats_have_the_same_name():
    assert len({one.name for one in FORMATS}) == len(FORMATS)


@pytest.mark.parametrize("way", ["import", "export"])
def test_an_unknown_format_is_refused_with_the_known_ones(way):
    with pytest.raises(UnknownNameError, match=rf"unknown format to {way} 'rs': .*mergekit.*rys"):
        find_format("rs", way)
    with pytest.raises(UnknownNameError, match="unknown format to import 'checkpoint'"):
        find_format("checkpoint", "import")
    assert set(names("import")) < set(names("export"))


@every_way_back
def test_what_is_written_is_read_again(name, tmp_path):
    contents = contents_of(name)
    assert exchanged.round_trip(name, contents, tmp_path) == contents


@pytest.mark.parametrize("name", ONE)
@drawn
@given(program=exchanged.programs())
def test_any_program_comes_back_from_a_format_of_one(name, tmp_path, program):
    contents = exchanged.of_programs(program)
    assert exchanged.round_trip(name, contents, tmp_path) == contents


@pytest.mark.parametrize("name", LISTS)
@drawn
@given(data=st.data())
def test_any_programs_come_back_from_a_list(name, tmp_path, data):
    some = exchanged.programs(loops=name not in SKIPS_ALONE)
    contents = exchanged.of_programs(*data.draw(st.lists(some, min_size=1, max_size=5)))
    assert exchanged.round_trip(name, contents, tmp_path) == contents


@pytest.mark.parametrize("name", ASKED)
@drawn
@given(data=st.data())
def test_any_questions_come_back_with_their_verdicts(name, tmp_path, data):
    some = exchanged.judged(only_identity_wrong=name == "drllm")
    contents = Contents(questions=tuple(data.draw(st.lists(some, min_size=1, max_size=4))))
    assert exchanged.round_trip(name, contents, tmp_path) == contents


@every_way_back
def test_a_file_may_be_packed(name, tmp_path):
    if name in ONE:
        pytest.skip("settings in YAML are read as they are")
    contents = contents_of(name)
    path = exchanged.written(name, contents, tmp_path)
    packed = tmp_path / f"{path.name}.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert exchanged.read(name, packed) == contents
    packed.write_bytes(packed.read_bytes()[:-12])
    with pytest.raises(DataError, match=r"is no whole gzip file .*: copy or download it again"):
        exchanged.read(name, packed)


@every_way_back
def test_a_file_that_is_cut_off_is_refused_or_holds_what_is_left(name, tmp_path):
    contents = contents_of(name)
    path = exchanged.written(name, contents, tmp_path)
    whole = path.read_bytes()
    for n_bytes in range(0, len(whole) - 1, max(1, len(whole) // 40)):
        path.write_bytes(whole[:n_bytes])
        try:
            found = exchanged.read(name, path)
        except SkiploopError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error), error
        else:  # a text of lines has no end that could be missing
            assert name not in ASKED
            assert len(found.programs) <= len(contents.programs)


@every_way_back
@pytest.mark.parametrize("content", ["", "nothing of the kind", "[1, 2", "{}", "[]", "[[0.5]]"])
def test_a_wrong_file_is_refused_in_one_line_that_names_it(name, tmp_path, content):
    path = tmp_path / "wrong.txt"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        exchanged.read(name, path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@every_way_back
def test_a_file_that_is_not_there_or_no_text_is_refused(name, tmp_path):
    with pytest.raises(DataError, match=r"no .*gone|gone.*cannot be read"):
        exchanged.read(name, tmp_path / "gone")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(DataError, match=r"binary"):
        exchanged.read(name, tmp_path / "binary")


@every_way_back
def test_a_file_of_a_larger_model_is_refused(name, tmp_path):
    larger = Program.parse("9:11x0", N_LAYERS + 4)
    question = QUESTIONS[1]
    contents = (
        Contents(questions=(type(question)(question.question, question.gold, (larger,), ()),))
        if name in ASKED
        else Contents(programs=(larger,))
    )
    path = exchanged.written(name, contents, tmp_path)
    with pytest.raises(SkiploopError) as caught:
        exchanged.read(name, path)
    assert str(N_LAYERS) in str(caught.value) or "of a model of" in str(caught.value)


@pytest.mark.parametrize("name", ["polar", "re-polar"])  # Dr.LLM lists no path of the plain model
def test_a_file_of_questions_of_a_smaller_model_is_refused(name, tmp_path):
    smaller = Program.identity(N_LAYERS - 2), Program.parse("1:3x2", N_LAYERS - 2)
    judged = replace(QUESTIONS[0], right=smaller, wrong=())
    path = exchanged.written(name, Contents(questions=(judged,)), tmp_path)
    with pytest.raises(DataError, match=f"no path runs layer {N_LAYERS - 1}, the last of a model"):
        exchanged.read(name, path)


@pytest.mark.parametrize("name", [n for n in names("export") if n not in {"recipe", "text"}])
def test_a_damped_loop_is_refused_and_nothing_is_written(name, tmp_path):
    damped = Program.parse("2:4x3~0.5", N_LAYERS)
    question = QUESTIONS[0]
    judged = type(question)(question.question, question.gold, (damped, IDENTITY), ())
    with pytest.raises(ProgramError, match=r"2:4x3~0\.5"):
        find_format(name, "export").write(
            tmp_path / "out", Contents(programs=(damped,), questions=(judged,)), MODEL
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", names("export"))
def test_nothing_is_no_file(name, tmp_path):
    with pytest.raises(SkiploopError):
        find_format(name, "export").write(tmp_path / "out", Contents(), MODEL)
    assert not list(tmp_path.iterdir())


def test_the_table_in_the_docs_is_that_of_the_registry():
    spec = importlib.util.spec_from_file_location("t", DOCS / "make_formats_table.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    assert maker.TARGET.read_text() == maker.reference()
