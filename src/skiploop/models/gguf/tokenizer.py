"""The tokenizer of a GGUF file: what the file says about it is what it does, or it is refused."""

from __future__ import annotations

import reprlib
import unicodedata
from collections.abc import Collection, Iterable
from typing import Any

from skiploop.errors import UnsupportedModelError
from skiploop.models.gguf.header import GgufHeader

_READ = {
    "model",
    "pre",
    "tokens",
    "scores",
    "token_type",
    "merges",
    "precompiled_charsmap",
    "add_space_prefix",
    "add_bos_token",
    "add_eos_token",
}
# Ids of special tokens, and what bears on chats or on other kinds of models only.
_HARMLESS = {"token_type_count", "add_sep_token", "remove_extra_whitespaces"}
_BYTE_LEVEL, _SENTENCEPIECE = "gpt2", "llama"
# Ways to split a text before byte-level merges, by what transformers makes of them.
_LIKE_GPT2 = {"gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "gigachat", "mellum"}
_DIGITS_ALONE = {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}
_WITH_BOS_IN_THE_TEMPLATE = "gemma4"
_PROBE = "a"


def check_tokenizer(header: GgufHeader, tokenizer: Any) -> None:  # noqa: ANN401 (without import)
    """Refuse a tokenizer that does something else than its file says."""
    said = {
        key.removeprefix("tokenizer.ggml."): value
        for key, value in header.metadata.items()
        if key.startswith("tokenizer.ggml.")
    }
    for key in said:
        if not (key in _READ or key in _HARMLESS or key.endswith("_token_id")):
            raise _refused(header, key, said[key])
    _check_split(header, said)
    probe = tokenizer(_PROBE)["input_ids"]
    space = tokenizer.convert_ids_to_tokens(
        tokenizer(_PROBE, add_special_tokens=False)["input_ids"]
    )
    begins, ends = said.get("add_bos_token"), said.get("add_eos_token")
    if header.architecture == _WITH_BOS_IN_THE_TEMPLATE:
        begins = False
    if begins is not None and begins != (probe[0] == tokenizer.bos_token_id):
        raise _refused(header, "add_bos_token", begins)
    if ends is not None and ends != (probe[-1] == tokenizer.eos_token_id):
        raise _refused(header, "add_eos_token", ends)
    if said.get("model") == _SENTENCEPIECE:
        prefix = said.get("add_space_prefix", True)
        if prefix != space[0].startswith("\u2581"):
            raise _refused(header, "add_space_prefix", prefix)


def _check_split(header: GgufHeader, said: dict[str, Any]) -> None:
    """Refuse a way to split texts that would quietly become that of GPT-2."""
    way = said.get("pre")
    if said.get("model") != _BYTE_LEVEL or way is None or way in _LIKE_GPT2:
        return
    # Where no merge has a digit, digits stay alone however the text is split.
    if way in _DIGITS_ALONE and not _joins_digits(said.get("merges", ())):
        return
    if way not in _known_ways():
        raise _refused(header, "pre", way)


def _known_ways() -> Collection[str]:
    """Return the ways that transformers has a rule for; older ones split all texts like GPT-2."""
    try:
        from transformers.integrations.gguf import gguf_tokenizer_mapping
    except ImportError:
        return ()
    ways: Collection[str] = gguf_tokenizer_mapping.GGUF_PRE_TOKENIZER_SPLITS.keys()
    return ways


def _joins_digits(merges: Iterable[str]) -> bool:
    """Whether a merge makes a token of a digit and something else."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    spelt = {character: byte for byte, character in bytes_to_unicode().items()} | {" ": None}
    for merge in merges:
        made = bytes(byte for byte in map(spelt.__getitem__, merge) if byte is not None)
        text = made.decode(errors="ignore")
        if len(text) > 1 and any(unicodedata.category(letter)[0] == "N" for letter in text):
            return True
    return False


def _refused(header: GgufHeader, key: str, value: object) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"{header.file} has tokenizer.ggml.{key} = {reprlib.repr(value)}, "
        "which its tokenizer would not follow: give a folder with tokenizer.json instead"
    )
