"""Real tokenizers of the kinds that models come with, small: byte-level and SentencePiece-like."""

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

SPECIAL = ["<pad>", "<s>", "</s>", "<|end_turn|>"]
WORDS = ["th", "the", "en", "end", "on", "he", "▁a", "▁the", "▁on", "▁▁"]
LETTERS = "aAbdehnot.:0123456789"


def byte_level(merges=(), **around):
    """Return a tokenizer of bytes, as those of GPT-2, Llama 3 and Qwen are."""
    vocabulary = {piece: number for number, piece in enumerate(SPECIAL)}
    for piece in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocabulary[piece] = len(vocabulary)
    for left, right in merges:
        vocabulary.setdefault(left + right, len(vocabulary))
    bpe = Tokenizer(models.BPE(vocab=vocabulary, merges=list(merges)))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.decoder = decoders.ByteLevel()
    return wrapped(bpe, **around)


def sentencepiece(merges=(), **around):
    """Return a tokenizer as that of Llama 2: spaces in pieces, one more in front, bytes apart."""
    vocabulary = {piece: number for number, piece in enumerate(SPECIAL)}
    for piece in (*(f"<0x{byte:02X}>" for byte in range(256)), "▁", *LETTERS):
        vocabulary.setdefault(piece, len(vocabulary))
    for left, right in merges:
        vocabulary.setdefault(left + right, len(vocabulary))
    for piece in WORDS:
        vocabulary.setdefault(piece, len(vocabulary))
    bpe = Tokenizer(models.BPE(vocab=vocabulary, merges=list(merges), byte_fallback=True))
    bpe.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    bpe.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return wrapped(bpe, **around)


def metaspace(merges=(), **around):
    """Return a tokenizer of a word list with scores, as T5 and XGLM have one."""
    del merges
    pieces = dict.fromkeys([*SPECIAL, "▁", *LETTERS, *WORDS, "€", "é"])
    unigram = Tokenizer(models.Unigram([(piece, -1 / len(piece)) for piece in pieces], unk_id=0))
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    unigram.decoder = decoders.Metaspace()
    return wrapped(unigram, **around)


def wrapped(backend, start="", end=""):
    """Return a Hugging Face tokenizer that puts special tokens around texts."""
    backend.add_special_tokens(SPECIAL)
    if start or end:
        backend.post_processor = processors.TemplateProcessing(
            single=" ".join(filter(None, [start, "$A", end])),
            special_tokens=[(piece, backend.token_to_id(piece)) for piece in SPECIAL],
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        clean_up_tokenization_spaces=False,
    )


KINDS = {"byte_level": byte_level, "sentencepiece": sentencepiece, "metaspace": metaspace}
