"""Weights that are counted, with and without numbers."""

import families
import pytest

from skiploop.models.outline import outline
from skiploop.models.size import size_of


def test_a_layer_has_the_weights_that_its_modules_have():
    model = families.build("llama")
    size = size_of(model)
    hidden, inner = 32, 48
    attention = hidden * (4 + 2 + 2) * 8 + 4 * 8 * hidden
    assert size.layer == attention + 3 * hidden * inner + 2 * hidden
    assert size.n_layers == families.N_LAYERS
    assert size.head == hidden * families.VOCAB_SIZE


def test_of_experts_the_share_that_a_token_asks_counts():
    model = families.build("qwen3_moe")
    experts = sum(w.numel() for n, w in model.named_parameters() if ".experts." in n)
    others = sum(w.numel() for n, w in model.named_parameters() if ".layers." in n) - experts
    assert size_of(model).layer * families.N_LAYERS == pytest.approx(others + experts / 2)


@pytest.mark.parametrize("family", ["llama", "qwen2_moe"])
def test_a_model_without_its_weights_is_as_large_as_with_them(family, tmp_path):
    model = families.build(family)
    model.save_pretrained(tmp_path)
    families.tokenizer().save_pretrained(tmp_path)
    found = outline(str(tmp_path))
    assert found.size == size_of(model)
    assert found.n_bytes == 4 * found.size.total
