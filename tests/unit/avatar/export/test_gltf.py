"""Independent readers of the container: the packages `pygltflib` and `trimesh`."""

from pathlib import Path

import numpy as np
import pygltflib
import trimesh

from avatar.export.gltf import ATTRIBUTES, INDICES, Document

POINTS = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]], np.float32)
FACES = np.array([0, 1, 2, 0, 2, 3, 1, 3, 2], np.uint32)


def _triangles() -> Document:
    document = Document()
    place = document.add_array(POINTS, ATTRIBUTES, bounds=True)
    faces = document.add_array(FACES, INDICES)
    primitive = {"attributes": {"POSITION": place}, "indices": faces}
    mesh = document.add("meshes", {"primitives": [primitive]})
    document.add("nodes", {"mesh": mesh})
    document.add("scenes", {"nodes": [0]})
    return document


def test_trimesh_reads_the_mesh(tmp_path: Path) -> None:
    _triangles().save(tmp_path / "mesh.glb")
    mesh = trimesh.load(tmp_path / "mesh.glb", force="mesh", process=False)
    assert np.array_equal(mesh.triangles, POINTS[FACES.reshape(-1, 3)])


def test_pygltflib_reads_accessors_and_bounds(tmp_path: Path) -> None:
    document = _triangles()
    odd = document.add_array(np.arange(5, dtype=np.uint8))  # padded to whole words
    last = document.add_array(np.eye(4, dtype=np.float32)[None])
    document.save(tmp_path / "mesh.glb")
    read = pygltflib.GLTF2().load(tmp_path / "mesh.glb")
    assert (tmp_path / "mesh.glb").stat().st_size % 4 == 0
    place = read.accessors[0]
    assert (place.type, place.count) == ("VEC3", 4)
    assert (place.min, place.max) == ([0, 0, 0], [1, 2, 3])
    assert (read.accessors[odd].type, read.accessors[odd].count) == ("SCALAR", 5)
    view = read.bufferViews[read.accessors[last].bufferView]
    assert view.byteOffset % 4 == 0
    blob = read.binary_blob()[view.byteOffset : view.byteOffset + view.byteLength]
    assert np.array_equal(np.frombuffer(blob, np.float32).reshape(4, 4), np.eye(4))
