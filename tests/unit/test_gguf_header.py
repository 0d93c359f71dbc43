import struct
import time

import numpy as np
import pytest
from gguf import GGUFWriter
from hypothesis import given, settings
from hypothesis import strategies as st

from skiploop.errors import UnsupportedModelError
from skiploop.models.gguf.header import read_header


def write(path):
    writer = GGUFWriter(path, "llama")
    writer.add_string("general.name", "größer")
    writer.add_array("llama.numbers", [1, 2, 3])
    writer.add_array("tokenizer.ggml.tokens", ["a", "b"])
    writer.add_float32("llama.float", 0.5)
    writer.add_float32("llama.flint", 0.5)
    writer.add_bool("llama.yes", val=True)
    writer.add_tensor("rope_freqs.weight", np.array([1, 2, 4], np.float32))
    writer.add_tensor("half", np.ones((2, 3), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def file(tmp_path):
    return write(tmp_path / "a.gguf")


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    return write(tmp_path_factory.mktemp("whole") / "a.gguf").read_bytes()


def test_metadata_and_tensors_are_those_of_the_file(file):
    header = read_header(file)
    assert header.architecture == "llama"
    assert header.metadata["general.name"] == "größer"
    assert header.metadata["llama.numbers"] == [1, 2, 3]
    assert header.metadata["tokenizer.ggml.tokens"] == ["a", "b"]
    assert (header.metadata["llama.float"], header.metadata["llama.yes"]) == (0.5, True)
    assert header.tensors["half"].shape == (2, 3)
    assert header.n_values == 9
    assert header.values("rope_freqs.weight").tolist() == [1, 2, 4]
    with pytest.raises(UnsupportedModelError, match="half in other numbers than float32"):
        header.values("half")


@pytest.mark.parametrize("offset", [8, 16])
def test_counts_beyond_the_file_are_refused_at_once(file, content, offset):
    huge = struct.pack("<Q", 2**60)
    file.write_bytes(content[:offset] + huge + content[offset + 8 :])
    start = time.perf_counter()
    with pytest.raises(UnsupportedModelError, match=r"a\.gguf is not a complete GGUF file"):
        read_header(file)
    assert time.perf_counter() - start < 1


def test_the_same_key_twice_is_refused(file, content):
    file.write_bytes(content.replace(b"llama.flint", b"llama.float"))
    with pytest.raises(UnsupportedModelError, match=r"it says llama\.float twice"):
        read_header(file)


def test_a_name_with_a_line_end_is_refused_in_one_line(file, content):
    file.write_bytes(content.replace(b"llama.float", b"llama.\nloat"))
    with pytest.raises(UnsupportedModelError, match=r"it holds the name 'llama\.\\nloat'"):
        read_header(file)


@given(data=st.data())
@settings(max_examples=300)
def test_a_damaged_header_is_read_or_refused_never_more(tmp_path_factory, content, data):
    file = tmp_path_factory.getbasetemp() / "damaged.gguf"
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(changed[: data.draw(st.integers(0, len(changed)))])
    try:
        read_header(file)
    except UnsupportedModelError as error:
        assert "damaged.gguf is not a complete GGUF file" in str(error)
