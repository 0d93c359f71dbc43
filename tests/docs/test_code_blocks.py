"""What the pages show runs: Python blocks, commands, and the names in between."""

import contextlib
import importlib
import io
import itertools
import re
import shlex
import shutil
from pathlib import Path

import families
import planted
import pytest
import typer

import skiploop
from skiploop import Program
from skiploop.cli.main import app, main
from skiploop.models.packaged import PACKAGED

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
RECIPES = [*ROOT.glob("recipes/*.sh")]

_BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_DOTTED = re.compile(r"skiploop(?:\.\w+)+")
_FILES = (".md", ".py", ".sh", ".toml")
_MODULE = re.compile(r"[\w/]+\.py\b")
_SESSION = re.compile(r"nox -s (\w+)")


def blocks(page):
    """Return language and text of the code blocks of a page."""
    return _BLOCK.findall(page.read_text())


def inline(page):
    """Return what stands between backticks in the text of a page."""
    return _CODE.findall(_BLOCK.sub("", page.read_text()))


def named(path):
    """Return a page as a parameter of a test; what needs a packaged model is slow."""
    text = "".join(block for language, block in blocks(path) if language == "python")
    marks = pytest.mark.slow if any(f'"{name}"' in text for name in PACKAGED) else ()
    return pytest.param(path, id=str(path.relative_to(ROOT)), marks=marks)


@pytest.fixture
def words(tmp_path, monkeypatch):
    """Return what the blocks of the pages talk of: a tiny model, some questions, a finished run."""
    shutil.copytree(planted.finished_run(), tmp_path / "RUN")
    monkeypatch.chdir(tmp_path)
    stack, task = families.load("llama"), skiploop.get_task("arithmetic", level=2)
    examples = task.examples("test", 2)
    prompts = [task.prompt(example) for example in examples]
    return {
        "Path": Path,
        "examples": examples,
        "model": families.build("llama"),
        "programs": [Program.identity(stack.n_layers), Program.parse("1:2x0", stack.n_layers)],
        "prompts": prompts,
        "skiploop": skiploop,
        "stack": stack,
        "task": task,
        "text": prompts[0],
        "tokenizer": families.tokenizer(),
        "tokens": families.tokenizer()(prompts[:1], return_tensors="pt").input_ids,
    }


PYTHON = [page for page in PAGES if any(language == "python" for language, _ in blocks(page))]


@pytest.mark.parametrize("page", [named(page) for page in PYTHON])
def test_the_python_blocks_of_a_page_run_and_print_what_the_page_shows(page, words):
    found = blocks(page)
    for (language, block), (shown_as, shown) in zip(found, [*found[1:], ("end", "")], strict=True):
        printed = io.StringIO()
        if language == "python":
            is_whole = "import skiploop" in block  # it needs no words from outside
            with contextlib.redirect_stdout(printed):
                exec(compile(block, str(page), "exec"), {} if is_whole else words)
        if language == "python" and not shown_as and not commands(shown):
            assert printed.getvalue() == shown


def commands(text):
    """Return the commands of skiploop in lines of a shell, without what comes before and after."""
    lines = text.replace("\\\n", " ").splitlines()
    parts = [part.strip().removeprefix("Example: ") for line in lines for part in line.split("&&")]
    return [part for part in parts if part.startswith("skiploop ")]


TUTORIAL = ROOT / "docs" / "tutorial.md"
SMALLER = {"--race-questions": "8", "--size": "3", "--limit": "60"}
"""Sizes with which the tutorial takes a minute or two."""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_tutorial_runs_from_its_first_block_to_the_last(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    n_commands = 0
    for language, block in blocks(TUTORIAL):
        if language == "python":
            exec(compile(block, str(TUTORIAL), "exec"), {})
        for line in commands(block):
            _, *given = shlex.split(line)
            before = [None, *given]
            arguments = [SMALLER.get(b, a) for b, a in zip(before, given, strict=False)]
            assert main(arguments) == 0, line
            n_commands += 1
    assert n_commands >= 6


def all_commands():
    for page in PAGES:
        yield from commands("\n".join([*(block for _, block in blocks(page)), *inline(page)]))
    for recipe in RECIPES:
        yield from commands(recipe.read_text())


@pytest.mark.parametrize("line", [*dict.fromkeys(all_commands())])
def test_a_command_in_the_docs_exists_with_its_options(line):
    _, *arguments = shlex.split(line, comments=True)
    command = typer.main.get_command(app)
    while hasattr(command, "commands") and arguments:
        command = command.commands[arguments.pop(0)]
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    used = list(itertools.takewhile(lambda word: word != "--", arguments))
    assert {word for word in used if word.startswith("--")} <= {*known, "--help"}


def all_names():
    return sorted(
        {name for page in PAGES for code in inline(page) for name in _DOTTED.findall(code)}
    )


@pytest.mark.parametrize("name", [name for name in all_names() if not name.endswith(_FILES)])
def test_a_name_in_the_docs_can_be_imported(name):
    found = skiploop
    for depth, part in enumerate(name.split(".")[1:], start=2):
        if not hasattr(found, part):
            importlib.import_module(".".join(name.split(".")[:depth]))
        found = getattr(found, part)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "log.md"], ids=lambda page: page.name
)
def test_a_file_of_python_in_the_docs_exists(page):
    there = [f"/{path.relative_to(ROOT)}" for path in ROOT.rglob("*.py")]
    named = {name for name in _MODULE.findall(page.read_text()) if "NAME" not in name}
    assert not [name for name in named if not any(path.endswith(f"/{name}") for path in there)]


def test_the_page_of_python_has_every_public_name():
    page = (ROOT / "docs/reference/api.md").read_text()
    assert sorted(re.findall(r"^::: skiploop\.(\w+)$", page, re.MULTILINE)) == skiploop.__all__


def test_a_habit_in_the_docs_is_a_session_of_nox():
    habits = {name for page in PAGES for name in _SESSION.findall(page.read_text())}
    assert habits
    assert habits <= set(re.findall(r"^def (\w+)", (ROOT / "noxfile.py").read_text(), re.MULTILINE))


def test_every_recipe_and_many_pages_have_commands():
    texts = {recipe.name: recipe.read_text() for recipe in RECIPES}
    alone = {name for name, text in texts.items() if commands(text)}
    handed_on = {name for name, text in texts.items() if any(f'/{one}"' in text for one in alone)}
    called = {name for name in texts if any(f'/{name}"' in text for text in texts.values())}
    assert alone | handed_on | called == set(texts)
    assert len(list(all_commands())) > 50
