"""One hash that stands for all of a dataset."""

import hashlib
import json

from avatar.data.dataset import Dataset


def dataset_sha256(dataset: Dataset) -> str:
    """Hash of all tables and attributes; the frames' bytes are in it by their crc32."""
    digest = hashlib.sha256()
    for group in ("cameras", "timesteps", "rig", "frames"):
        for name in dataset.arrays(group):
            digest.update(f"{group}/{name}".encode() + dataset.array(group, name).tobytes())
    digest.update(json.dumps(dataset.attrs, sort_keys=True, default=str).encode())
    return digest.hexdigest()
