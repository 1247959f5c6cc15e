"""Check a whole HDF5 file of a subject against its checksums."""

from pathlib import Path

from avatar.data.reader import Store


def verify(path: str | Path) -> None:
    """Read every byte of a file of this layout.

    Raises:
        UserError: an array or a frame does not match its checksum; the message names it.
    """
    with Store(path) as store:
        for group in ("cameras", "timesteps", "rig", "frames"):
            for name in store.arrays(group):
                store.array(group, name)
        for channel in store.arrays("blobs"):
            for row in range(len(store)):
                store.blob(channel, row)
