"""Checkpoints of a run: `results/<subject>/checkpoints/<run>/`, two kept, each complete or absent.

A checkpoint is `<images>.safetensors` (tensors) and `<images>.json` (numbers, and hashes of both).
The JSON is written last: a checkpoint is there when it is. Beside them, `avatar/` is the avatar of
the last one, which `headsplat export --checkpoint` takes; training does not read it. A run is named
by the hash of its key, so runs with other settings lie beside each other, and none ever takes
another's.
"""

import hashlib
import json
import logging
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from avatar.base import files
from avatar.base.errors import UserError
from avatar.base.folders import replacing
from avatar.base.system_errors import free_bytes
from avatar.base.version import code_hash
from avatar.data.dataset import Dataset
from avatar.data.digest import dataset_sha256
from avatar.gaussians.avatar_file import Avatar, save_avatar
from avatar.rig import RigParams
from avatar.train.presets import Preset

log = logging.getLogger(__name__)

KEPT = 2
AVATAR = "avatar"  # folder beside the checkpoints
_FREE = ("name", "cache_mib")  # of a preset: they change no bit of the avatar


@dataclass(frozen=True)
class Snapshot:
    """All that a run's next step depends on, beside its dataset and preset.

    Attributes:
        tensors: by name; on the CPU once they have been read.
        numbers: plain JSON; floats survive it bit for bit.
        seconds: spent so far; no step depends on it.
        avatar: as it is now, for who wants to use it before the run is done.
    """

    tensors: dict[str, Tensor]
    numbers: dict[str, Any]
    seconds: float = 0.0
    avatar: Avatar | None = None


class Checkpoints:
    """The checkpoints of one run of a subject.

    Attributes:
        folder: where they lie; absent when there are none.
    """

    def __init__(self, home: Path, key: dict[str, str]) -> None:
        """Nothing is read yet.

        Args:
            home: `results/<subject>/checkpoints`.
            key: what makes the run, see `run_key`.
        """
        self._home, self._key = home, key
        self.folder = home / _hash(key)[:12]

    def save(self, snapshot: Snapshot) -> None:
        """Write a checkpoint and remove all of this run but the last two.

        Raises:
            UserError: it cannot be written; the ones before it stay.
        """
        path = self.folder / f"{snapshot.numbers['images']:09d}.json"
        tensors = {k: v.detach().contiguous().cpu() for k, v in snapshot.tensors.items()}
        try:
            if snapshot.avatar is not None:
                with replacing(self.folder / AVATAR) as new:
                    save_avatar(new, snapshot.avatar)
            with files.atomic(path.with_suffix(".safetensors")) as temporary:
                save_file(tensors, temporary)
                digest = files.sha256(temporary)
            about: dict[str, Any] = {"key": self._key, "tensors_sha256": digest}
            about |= {"numbers": snapshot.numbers, "seconds": snapshot.seconds}
            files.write_json(path, about | {"sha256": _hash(about)})
            for old in self._newest_first()[KEPT:]:
                _remove(old)
        except (OSError, SafetensorError) as problem:
            raise UserError(
                f"no checkpoint could be written to {self.folder} ({problem}): "
                f"{free_bytes(self.folder) / 2**30:.1f} GiB are free there; make room, or "
                "let it be written to"
            ) from problem

    def load(self) -> Snapshot | None:
        """The newest whole checkpoint of this run; None if there is none.

        Damaged ones are removed with a warning. If only other runs have any, a warning names what
        differs.
        """
        for path in self._newest_first():
            about = _read_about(path)
            tensors = about and _read_tensors(path, about["tensors_sha256"])
            if about and tensors:
                return Snapshot(tensors, about["numbers"], about["seconds"])
            log.warning("checkpoint %s is damaged: taking the one before it", path)
            _remove(path)
        self._warn_of_other_runs()
        return None

    def clear(self) -> None:
        """Remove those of every run of the subject: it is done."""
        shutil.rmtree(self._home, ignore_errors=True)

    def _warn_of_other_runs(self) -> None:
        others = sorted(self._home.glob("*/[0-9]*.json"), key=lambda p: p.stat().st_mtime)
        about = _read_about(others[-1]) if others else None
        if about:
            changed = [name for name in self._key if about["key"].get(name) != self._key[name]]
            text = (
                "%s is of another run (%s changed): starting afresh, it stays until a run is done"
            )
            log.warning(text, others[-1], ", ".join(changed))

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.json"), reverse=True)


def _read_about(path: Path) -> dict[str, Any] | None:
    """The content of a checkpoint's JSON file; None if it is damaged."""
    try:
        about = files.read_json(path)
        digest = about.pop("sha256")
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return about if digest == _hash(about) else None


def _read_tensors(path: Path, digest: str) -> dict[str, Tensor] | None:
    path = path.with_suffix(".safetensors")
    try:
        return load_file(path) if files.sha256(path) == digest else None
    except (OSError, SafetensorError):
        return None


def _remove(path: Path) -> None:
    path.unlink()  # first: without it the tensors are no checkpoint
    path.with_suffix(".safetensors").unlink(missing_ok=True)


def run_key(dataset: Dataset, params: RigParams, preset: Preset, seed: int) -> dict[str, str]:
    """What makes a run, by name, each as a hash: dataset, parameters, preset, seed and code."""
    return {
        "dataset": dataset_sha256(dataset),
        "params": _params_sha256(params),
        "preset": preset_hash(preset),
        "seed": str(seed),
        "code": code_hash(),
    }


def preset_hash(preset: Preset) -> str:
    """Hash of all that changes the avatar."""
    return _hash({name: value for name, value in asdict(preset).items() if name not in _FREE})


def _params_sha256(params: RigParams) -> str:
    """Hash of all arrays, with their names, types and shapes."""
    digest = hashlib.sha256()
    for name, array in sorted(params.arrays().items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def _hash(value: Any) -> str:
    """Hash of plain JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
