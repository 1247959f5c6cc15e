"""Check a whole HDF5 file of a subject against its checksums."""

from pathlib import Path

from avatar.base.errors import UserError
from avatar.data.layout import CHANNELS, GROUPS
from avatar.data.reader import Store


def verify(path: str | Path) -> None:
    """Read every byte of a file of this layout.

    Raises:
        UserError: an array, an attribute or a frame does not match its checksum, or an entry is
            not of this layout; the message names it.
    """
    with Store(path) as store:
        found = store.arrays("/")
        if unknown := [name for name in found if name not in GROUPS]:
            raise UserError(f"{path}:/{unknown[0]} is not of this layout: make the file again")
        for group in found:
            for name in store.arrays(group):
                if group != "blobs":
                    store.array(group, name)
        for channel in store.arrays("blobs"):
            if channel not in CHANNELS:
                raise UserError(f"{path}:/blobs/{channel} is not of this layout: make it again")
            for row in range(len(store)):
                store.blob(channel, row)
        store.walk()
