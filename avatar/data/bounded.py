"""Arrays and attributes of HDF5 files that somebody else may have written, within limits.

HDF5 follows links into other files, fills in what is absent and unpacks whatever it is given. Here
an array is read only where the file itself holds all of its bytes, with their checksums.
"""

import math
import os
import zlib
from typing import Any

import h5py
import numpy as np

MOST_BYTES = 1 << 28  # of an array
MOST_CHUNK = 1 << 20  # of one of its chunks, which is what h5py makes at most
MOST_CHUNKS = 1 << 16
MOST_NAMES = 256  # in a group, or of attributes
MOST_TEXT = 1 << 26  # of an attribute
_DEFLATE, _SHUFFLE, _FLETCHER32 = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, 3
_FILTERS = (_SHUFFLE, _DEFLATE, _FLETCHER32)  # in the order in which they are applied
_SUM_BYTES = 4
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)


class Absent(Exception):
    """There is no entry of that name."""


def names(file: h5py.File, group: str) -> list[str]:
    """Names of a group's entries, sorted; none where the group is absent.

    Raises:
        ValueError: it is damaged, a link, or has too many entries.
    """
    try:
        entry = file if group == "/" else _entry(file, group, h5py.Group)
        if len(entry) > MOST_NAMES:
            raise ValueError(f"it has {len(entry)} entries")
        return sorted(entry)
    except Absent:
        return []
    except _DAMAGE as problem:
        raise ValueError(_reason(problem)) from None


def read(file: h5py.File, group: str, name: str) -> np.ndarray:
    """One array of numbers or ASCII text (as `str`).

    Raises:
        Absent: there is no such array.
        ValueError: it is damaged, elsewhere than in the file, without checksums, or too large.
    """
    try:
        dataset = _entry(_entry(file, group, h5py.Group), name, h5py.Dataset)
        _check_array(dataset)
        array = dataset[()]
        return array.astype(str) if array.dtype.kind == "S" else array
    except _DAMAGE as problem:
        raise ValueError(_reason(problem)) from None


def pieces(file: h5py.File, group: str, name: str, size: int) -> tuple[int, np.ndarray]:
    """Length of an array of bytes that is stored as it is, and where its pieces lie in the file.

    Args:
        size: bytes of a piece.
    Raises:
        Absent: there is no such array.
        ValueError: it is no such array, damaged, or a piece is missing.
    """
    try:
        dataset = _entry(_entry(file, group, h5py.Group), name, h5py.Dataset)
        plain = dataset.id.get_create_plist().get_nfilters() == 0
        if not (plain and dataset.dtype == np.uint8 and dataset.chunks == (size,)):
            raise ValueError(f"it is not bytes in pieces of {size}")
        length = dataset.shape[0]
        if length > os.stat(file.filename).st_size:
            raise ValueError("it claims more bytes than the file has")
        places = np.zeros(-(-length // size), np.int64)

        def note(chunk: h5py.h5d.StoreInfo) -> None:
            places[chunk.chunk_offset[0] // size] = chunk.byte_offset

        dataset.id.chunk_iter(note)
    except (*_DAMAGE, IndexError) as problem:
        raise ValueError(_reason(problem)) from None
    if not places.all():
        raise ValueError("a piece is missing")
    return length, places


def walk(file: h5py.File) -> None:
    """Visit every entry as other programs may: this reads indices that one entry's path leaves out.

    Raises:
        ValueError: the structure is damaged, or an entry has attributes of its own.
    """

    def visit(name: str, entry: h5py.Group | h5py.Dataset) -> None:
        h5py.h5o.get_info(entry.id)
        if len(entry.attrs):
            raise ValueError(f"/{name} has attributes")

    try:
        file.visititems(visit)
    except _DAMAGE as problem:
        raise ValueError(_reason(problem)) from None


def has_attribute(file: h5py.File, name: str) -> bool:
    """Whether the file names an attribute, whatever it is."""
    try:
        return name in file.attrs
    except _DAMAGE:
        return False


def attributes(file: h5py.File) -> dict[str, Any]:
    """Attributes of the file: ASCII or UTF-8 bytes, and whole numbers.

    Raises:
        ValueError: one is damaged, of another kind, or too large.
    """
    try:
        if len(file.attrs) > MOST_NAMES:
            raise ValueError(f"it has {len(file.attrs)} attributes")
        for name in file.attrs:
            attribute = file.attrs.get_id(name)
            kind = attribute.get_type()
            if h5py.h5a.get_info(file.id, name.encode()).cset != h5py.h5t.CSET_ASCII:
                raise ValueError("a name is not ASCII")
            if attribute.shape != () or kind.get_size() > MOST_TEXT:
                raise ValueError(f"{name!r} is not one text or number")
            # The format keeps long attributes without a checksum; their kind is compared whole.
            if kind.encode() != h5py.h5t.py_create(_attribute_kind(attribute.dtype)).encode():
                raise ValueError(f"{name!r} is of another kind than is written")
        return dict(file.attrs.items())
    except _DAMAGE as problem:
        raise ValueError(_reason(problem)) from None


def _attribute_kind(dtype: np.dtype) -> np.dtype:
    return np.dtype(f"S{dtype.itemsize}") if dtype.kind == "S" else np.dtype(np.int64)


def _entry(group: h5py.Group, name: str, kind: type[Any]) -> Any:
    """A group or array that the group itself holds: links to other places are not followed."""
    links = group.id.links
    if not links.exists(name.encode()):
        raise Absent(name)
    if links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise ValueError("it is a link to another place, which is not followed")
    entry = group[name]
    if type(entry) is not kind:
        raise ValueError(f"it is no {kind.__name__.lower()}")
    return entry


def _check_array(dataset: h5py.Dataset) -> None:
    """Kind, size, place and checksums of an array, before HDF5 reads it."""
    plist = dataset.id.get_create_plist()
    if plist.get_layout() != h5py.h5d.CHUNKED:
        raise ValueError("it is stored in another way or place than is written")
    filters = [plist.get_filter(k)[0] for k in range(plist.get_nfilters())]
    if _FLETCHER32 not in filters:
        raise ValueError("it has no checksums")
    if filters != [known for known in _FILTERS if known in filters]:
        raise ValueError("it is packed in another way than is written")
    if dataset.dtype.kind not in "biufS":
        raise ValueError("it is not plain numbers or text")
    size = dataset.dtype.itemsize
    chunk = math.prod(dataset.chunks) * size
    counts = [-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True)]
    count = math.prod(counts)
    if math.prod(dataset.shape) * size > MOST_BYTES or chunk > MOST_CHUNK or count > MOST_CHUNKS:
        raise ValueError(f"it claims {dataset.shape} {dataset.dtype}: more than is read")
    if dataset.id.get_num_chunks() != count:
        raise ValueError("a part of it is missing")
    chunks: list[h5py.h5d.StoreInfo] = []
    dataset.id.chunk_iter(chunks.append)
    for info in chunks:
        _check_chunk(dataset, info, chunk, filters)


def _check_chunk(
    dataset: h5py.Dataset, info: h5py.h5d.StoreInfo, size: int, filters: list[int]
) -> None:
    """A chunk must have its checksum, and unpack to its own size and no more."""
    skipped = {filters[k] for k in range(len(filters)) if info.filter_mask >> k & 1}
    if skipped - {_DEFLATE}:
        raise ValueError("a part of it has no checksum")
    if info.size > size + size // 64 + 64:
        raise ValueError("it claims more packed than unpacked bytes")
    if _DEFLATE in filters and not skipped:
        _, raw = dataset.id.read_direct_chunk(info.chunk_offset)
        try:
            unpacked = zlib.decompressobj().decompress(raw[:-_SUM_BYTES], size + 1)
        except zlib.error:
            raise ValueError(_MISMATCH) from None
        if len(unpacked) != size:
            raise ValueError(_MISMATCH)


_MISMATCH = "it does not match its checksum"


def _reason(problem: BaseException) -> str:
    """Words of our own as they are; those of HDF5 are about its insides."""
    return str(problem) if isinstance(problem, ValueError) else _MISMATCH
