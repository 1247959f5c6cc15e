"""Checkpoints of a run: `results/<subject>/checkpoints/`, two kept, each whole or not there.

A checkpoint is `<images>.safetensors` (tensors) and `<images>.json` (numbers, and the hash of the
tensors' file). The JSON is written last: a checkpoint is there when it is. All carry the key of
their run, and a run of another key does not see them.
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

import avatar
from avatar import files
from avatar.dataset import Dataset
from avatar.presets import Preset

log = logging.getLogger(__name__)

KEPT = 2


@dataclass(frozen=True)
class Snapshot:
    """All that a run's next step depends on, beside its dataset and preset.

    Attributes:
        tensors: by name; on the CPU once they have been read.
        numbers: plain JSON; floats survive it bit for bit.
    """

    tensors: dict[str, Tensor]
    numbers: dict[str, Any]


class Checkpoints:
    """The checkpoints of one subject.

    Attributes:
        folder: where they lie; absent when there are none.
    """

    def __init__(self, folder: Path, key: dict[str, str]) -> None:
        """Look at nothing yet.

        Args:
            key: what makes a run (see `run_key`); checkpoints of another one are not used.
        """
        self.folder, self._key = folder, key

    def save(self, snapshot: Snapshot) -> Path:
        """Write a checkpoint and forget all but the last two; returns its JSON file."""
        name = f"{snapshot.numbers['images']:09d}"
        tensors = self.folder / f"{name}.safetensors"
        with files.atomic(tensors) as temporary:
            save_file({k: v.contiguous().cpu() for k, v in snapshot.tensors.items()}, temporary)
        about = {"key": self._key, "sha256": files.sha256(tensors), "numbers": snapshot.numbers}
        files.write_json(tensors.with_suffix(".json"), about)
        self._forget_all_but(KEPT)
        return tensors.with_suffix(".json")

    def load(self) -> Snapshot | None:
        """The newest whole checkpoint of this run; None if there is none.

        A damaged one is passed over with a warning. Those of another run are removed, and what
        differs is said.
        """
        for path in self._newest_first():
            try:
                about = files.read_json(path)
                key, digest, numbers = about["key"], about["sha256"], about["numbers"]
                differing = [name for name in self._key if key.get(name) != self._key[name]]
            except (OSError, ValueError, TypeError, KeyError, AttributeError):
                log.warning("%s is damaged: taking the checkpoint before it", path)
                continue
            if differing:
                log.warning(
                    "%s is of another run (%s changed): starting afresh", path, ", ".join(differing)
                )
                self.clear()
                return None
            tensors = _read_tensors(path.with_suffix(".safetensors"), digest)
            if tensors is not None:
                return Snapshot(tensors, numbers)
            log.warning(
                "%s does not match its checksum: taking the checkpoint before it",
                path.with_suffix(".safetensors"),
            )
        return None

    def clear(self) -> None:
        """Remove them all."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _forget_all_but(self, count: int) -> None:
        """Also what a killed process left half done."""
        kept = {path.stem for path in self._newest_first()[:count]}
        # In this order a JSON file goes before its tensors: without it they are no checkpoint.
        for path in sorted(self.folder.iterdir()):
            if path.stem not in kept:
                path.unlink()

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.json"), reverse=True)


def _read_tensors(path: Path, digest: str) -> dict[str, Tensor] | None:
    try:
        return load_file(path) if files.sha256(path) == digest else None
    except (OSError, SafetensorError):
        return None


def run_key(dataset: Dataset, preset: Preset, seed: int) -> dict[str, str]:
    """What a checkpoint belongs to, by name, each as a hash: dataset, preset, seed and code."""
    return {
        "dataset": dataset_hash(dataset),
        "preset": _hash(json.dumps(asdict(preset), sort_keys=True).encode()),
        "seed": str(seed),
        "code": code_hash(),
    }


def dataset_hash(dataset: Dataset) -> str:
    """Hash of all tables; the frames' bytes are in it by their crc32."""
    digest = hashlib.sha256()
    for group in ("cameras", "timesteps", "rig", "frames"):
        for name in dataset.arrays(group):
            digest.update(f"{group}/{name}".encode() + dataset.array(group, name).tobytes())
    digest.update(json.dumps(dataset.attrs, sort_keys=True, default=str).encode())
    return digest.hexdigest()


def code_hash() -> str:
    """Hash of this package's source: the same state and other code give another run."""
    home = Path(avatar.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(home.rglob("*.py")):
        digest.update(str(path.relative_to(home)).encode() + path.read_bytes())
    return digest.hexdigest()


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
