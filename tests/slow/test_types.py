"""What a type checker tells users of the public names."""

from pathlib import Path

import pytest

api = pytest.importorskip("mypy.api")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
PROGRAM = """
import skiploop

stack = skiploop.load("smollm2-135m")
policy = skiploop.load_policy("RUN", stack)
form = policy.form
assert form is not None
prompts = [form.prompt("2 + 2")]
answers = stack.generate(prompts, policy.during_prefill(), stop=form.stop)
texts: list[str] = [answer.text for answer in answers]
"""


def checked(tmp_path, code):
    """Return what mypy says of a program in its strict mode, and its exit code."""
    file = tmp_path / "program.py"
    file.write_text(code)
    # A user has skiploop among the site packages, where mypy reads types and tells no errors.
    settings = ["--strict", "--follow-imports", "silent"]
    settings += ["--config-file", str(ROOT / "pyproject.toml")]
    out, err, status = api.run([*settings, "--cache-dir", str(ROOT / ".mypy_cache"), str(file)])
    return out + err, status


def test_what_the_how_to_does_with_a_policy_passes(tmp_path, monkeypatch):
    monkeypatch.setenv("MYPYPATH", str(ROOT / "src"))
    assert checked(tmp_path, PROGRAM) == ("Success: no issues found in 1 source file\n", 0)


def test_a_name_that_is_not_public_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("MYPYPATH", str(ROOT / "src"))
    said, status = checked(tmp_path, "import skiploop\nskiploop.nonsense\n")
    assert status == 1 and 'Module has no attribute "nonsense"' in said
