"""Every habit as one short command: `nox -l` lists them. They run in the environment at hand.

Only `release` makes one of its own.
"""

import sys
from pathlib import Path
from zipfile import ZipFile

import nox

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["style", "tests"]


@nox.session
def tests(session: nox.Session) -> None:
    """Run the quick tests, or some: nox -s tests -- tests/unit/test_tree.py."""
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session
def slow(session: nox.Session) -> None:
    """Run the slow tests, most of them on the packaged model; or some, as with tests."""
    session.run("pytest", "-m", "slow", *session.posargs)


@nox.session
def style(session: nox.Session) -> None:
    """Check style, types and who imports whom."""
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    session.run("lint-imports")


@nox.session
def docs(session: nox.Session) -> None:
    """Write the page of the command line anew, and the site to build/site; a broken link fails."""
    session.run("python", "docs/make_cli_reference.py")
    quiet = {"NO_MKDOCS_2_WARNING": "1"}
    session.run("mkdocs", "build", "--strict", "-f", ".ci/mkdocs.yml", env=quiet)


@nox.session(venv_backend="venv")
def release(session: nox.Session) -> None:
    """Build sdist and wheel in build/dist, and use the wheel where nothing else is installed."""
    dist, src = Path("build/dist").absolute(), Path("src")
    for old in dist.glob("skiploop-*"):
        old.unlink()
    session.run(sys.executable, "-m", "build", "--outdir", str(dist), external=True)
    (wheel,) = dist.glob("*.whl")
    files = {file.relative_to(src).as_posix() for file in src.rglob("*.*") if file.is_file()}
    built = set(ZipFile(wheel).namelist())
    if missing := [name for name in sorted(files - built) if not name.endswith(".pyc")]:
        session.error(f"not in the wheel: {', '.join(missing)}")
    session.install("-c", "constraints.txt", f"{wheel}[demo]")
    session.chdir(session.create_tmp())
    session.run("skiploop", "--version")
    session.run(
        "skiploop", "generate", "--policy", "smollm2-135m/words", "--ask", "plural of mouse"
    )


@nox.session
def audit(session: nox.Session) -> None:
    """Look up known holes of what is installed, and list its parts in build/dist/sbom.json."""
    Path("build/dist").mkdir(parents=True, exist_ok=True)
    made = ("--output-reproducible", "--of", "JSON", "-o", "build/dist/sbom.json")
    session.run("cyclonedx-py", "environment", "--pyproject", "pyproject.toml", *made)
    session.run("pip-audit", "--skip-editable", "--progress-spinner", "off")


@nox.session
def goldens(session: nox.Session) -> None:
    """Write the golden files anew, or some: nox -s goldens -- tree."""
    session.run("python", "tests/golden/make.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Run a benchmark with its options: nox -s bench -- grid --help."""
    name, *options = session.posargs or session.error("name a benchmark: nox -s bench -- grid")
    session.run("python", f"benchmarks/{name}.py", *options)
