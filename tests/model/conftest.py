from dataclasses import replace

import families
import pytest
import torch
from transformers import BertConfig, BertModel

from skiploop.engine.tuning import TUNINGS


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Two threads next to another busy process are many times slower than one."""
    torch.set_num_threads(1)


@pytest.fixture
def tune(monkeypatch):
    """Changes what counts as fast on a CPU."""

    def change(**numbers):
        monkeypatch.setitem(TUNINGS, "cpu", replace(TUNINGS["cpu"], **numbers))

    return change


@pytest.fixture(scope="module")
def llama_folder(tmp_path_factory):
    """A tiny random model with its tokenizer; each file of tests has its own, to change at will."""
    folder = tmp_path_factory.mktemp("model")
    families.build("llama").save_pretrained(folder)
    families.tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory):
    """A tiny random text encoder that reads 32 tokens."""
    folder = tmp_path_factory.mktemp("bert")
    config = BertConfig(
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        vocab_size=families.VOCAB_SIZE,
        max_position_embeddings=32,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    families.tokenizer().save_pretrained(folder)
    return str(folder)
