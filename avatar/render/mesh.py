"""Triangle meshes to pixels: a z-buffer in Numba, interpolation and plain shading.

Draws the rig: overlays, the landmark embedding, the demo head, the bare-mesh baseline. Not
differentiable. The kernels run single-threaded without the GIL, so that callers draw several
views at a time from a thread pool; the result does not depend on the number of threads.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from numba import njit

NEAR = 0.01  # m; a triangle that reaches nearer than this is left out, not clipped
KEY_LIGHT = (0.35, 0.55, 0.76)  # towards the light, in camera axes turned y up and z backwards


def rasterize_mesh(
    verts: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    viewmat: Float[np.ndarray, "4 4"],
    K: Float[np.ndarray, "3 3"],
    width: int,
    height: int,
) -> tuple[
    Int[np.ndarray, "{height} {width}"],
    Float[np.ndarray, "{height} {width} 3"],
    Float[np.ndarray, "{height} {width}"],
]:
    """The nearest triangle at every pixel centre, from either side.

    Args:
        verts: metres, world frame.
        faces: vertex indices.
        viewmat: world-to-camera, OpenCV axes.
        K: pixels; the centre of pixel (0, 0) is at (0.5, 0.5).
        width: pixels.
        height: pixels.
    Returns:
        Face of each pixel (int32, -1 for none), perspective-correct barycentric coordinates
        (float32, 0 for none) and depth along the camera's z axis (m, float32, infinite for none).
        At equal depth the face with the lower index wins.
    """
    camera = to_camera(verts, viewmat)
    screen = camera @ np.asarray(K, np.float64).T
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = screen[:, :2] / screen[:, 2:]
    corners, depths = np.ascontiguousarray(pixels), np.ascontiguousarray(camera[:, 2])
    return _zbuffer(corners, depths, np.ascontiguousarray(faces, np.int64), width, height)


def cover(
    pixels: Float[np.ndarray, "V 2"], faces: Int[np.ndarray, "F 3"], width: int, height: int
) -> Bool[np.ndarray, "{height} {width}"]:
    """Which pixels' centres a projected mesh covers: the raster where depth does not matter.

    A face with a corner that is NaN is left out.
    """
    corners = np.ascontiguousarray(pixels, np.float64)
    return _cover(corners, np.ascontiguousarray(faces, np.int64), width, height)


def facing(
    pixels: Float[np.ndarray, "V 2"], faces: Int[np.ndarray, "F 3"]
) -> Bool[np.ndarray, "F"]:
    """Faces that look to the camera: pixels run downwards, so those turn clockwise."""
    x, y = pixels[faces].transpose(2, 1, 0)
    return (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0]) < 0


def to_camera(
    points: Float[np.ndarray, "P 3"], viewmat: Float[np.ndarray, "4 4"]
) -> Float[np.ndarray, "P 3"]:
    """World points (m) in a camera's frame (OpenCV axes, m)."""
    viewmat = np.asarray(viewmat, np.float64)
    return np.asarray(points, np.float64) @ viewmat[:3, :3].T + viewmat[:3, 3]


def project(
    points: Float[np.ndarray, "P 3"],
    viewmat: Float[np.ndarray, "4 4"],
    K: Float[np.ndarray, "3 3"],
) -> Float[np.ndarray, "P 2"]:
    """World points (m) to pixels; points behind the camera give meaningless numbers."""
    screen = to_camera(points, viewmat) @ np.asarray(K, np.float64).T
    return screen[:, :2] / screen[:, 2:]


@njit(cache=True, nogil=True)
def _zbuffer(pixels, depths, faces, width, height):
    face_ids = np.full((height, width), -1, np.int32)
    barycentric = np.zeros((height, width, 3), np.float32)
    inverse = np.zeros((height, width), np.float64)
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        if min(depths[a], depths[b], depths[c]) < NEAR:
            continue
        ax, ay = pixels[a, 0], pixels[a, 1]
        bx, by = pixels[b, 0], pixels[b, 1]
        cx, cy = pixels[c, 0], pixels[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0.0:
            continue
        sign = 1.0 if area > 0.0 else -1.0
        # Pixel centres lie at half integers: the first and last whose centre is in the box.
        x0 = max(0, int(np.ceil(min(ax, bx, cx) - 0.5)))
        x1 = min(width - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
        y0 = max(0, int(np.ceil(min(ay, by, cy) - 0.5)))
        y1 = min(height - 1, int(np.floor(max(ay, by, cy) - 0.5)))
        ia, ib, ic = 1.0 / depths[a], 1.0 / depths[b], 1.0 / depths[c]
        for y in range(y0, y1 + 1):
            py = y + 0.5
            for x in range(x0, x1 + 1):
                px = x + 0.5
                wa = (bx - px) * (cy - py) - (by - py) * (cx - px)
                wb = (cx - px) * (ay - py) - (cy - py) * (ax - px)
                if wa * sign < 0.0 or wb * sign < 0.0:  # before the divisions, which cost most
                    continue
                wa, wb = wa / area, wb / area
                wc = 1.0 - wa - wb
                if wc < 0.0:
                    continue
                near = wa * ia + wb * ib + wc * ic
                if near > inverse[y, x]:
                    inverse[y, x] = near
                    face_ids[y, x] = face
                    barycentric[y, x, 0] = wa * ia / near
                    barycentric[y, x, 1] = wb * ib / near
                    barycentric[y, x, 2] = wc * ic / near
    depth = np.empty((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            depth[y, x] = 1.0 / inverse[y, x] if inverse[y, x] > 0.0 else np.inf
    return face_ids, barycentric, depth


@njit(cache=True, nogil=True)
def _cover(pixels, faces, width, height):
    covered = np.zeros((height, width), np.bool_)
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        if np.isnan(pixels[a, 0] + pixels[b, 0] + pixels[c, 0]):
            continue
        low = min(pixels[a, 1], pixels[b, 1], pixels[c, 1])
        high = max(pixels[a, 1], pixels[b, 1], pixels[c, 1])
        y0, y1 = max(0, int(np.ceil(low - 0.5))), min(height - 1, int(np.floor(high - 0.5)))
        for y in range(y0, y1 + 1):
            left, right = np.inf, -np.inf  # where the row of centres enters and leaves
            for first, second in ((a, b), (b, c), (c, a)):
                start, stop = pixels[first, 1], pixels[second, 1]
                if (start <= y + 0.5) != (stop <= y + 0.5):
                    share = (y + 0.5 - start) / (stop - start)
                    x = pixels[first, 0] + share * (pixels[second, 0] - pixels[first, 0])
                    left, right = min(left, x), max(right, x)
            if left <= right:
                x0, x1 = (
                    max(0, int(np.ceil(left - 0.5))),
                    min(width - 1, int(np.floor(right - 0.5))),
                )
                covered[y, x0 : x1 + 1] = True
    return covered


def interpolate(
    values: Float[np.ndarray, "V D"],
    faces: Int[np.ndarray, "F 3"],
    face_ids: Int[np.ndarray, "H W"],
    barycentric: Float[np.ndarray, "H W 3"],
) -> Float[np.ndarray, "H W D"]:
    """Per-vertex values at the pixels of a raster; 0 where there is no face (float32)."""
    table, corners = np.ascontiguousarray(values, np.float32), np.ascontiguousarray(faces, np.int64)
    return _interpolate(table, corners, face_ids, barycentric)


@njit(cache=True, nogil=True)
def _interpolate(values, faces, face_ids, barycentric):
    height, width = face_ids.shape
    depth = values.shape[1]
    result = np.zeros((height, width, depth), np.float32)
    for y in range(height):
        for x in range(width):
            face = face_ids[y, x]
            if face >= 0:
                for corner in range(3):
                    weight = barycentric[y, x, corner]
                    row = faces[face, corner]
                    for d in range(depth):
                        result[y, x, d] += weight * values[row, d]
    return result


def vertex_normals(
    verts: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]
) -> Float[np.ndarray, "V 3"]:
    """Unit normals, each the mean of the adjacent faces' weighted by area; 0 without faces."""
    return _vertex_normals(
        np.ascontiguousarray(verts, np.float64), np.ascontiguousarray(faces, np.int64)
    )


@njit(cache=True, nogil=True)
def _vertex_normals(verts, faces):
    normals = np.zeros_like(verts)
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ux, uy, uz = verts[b, 0] - verts[a, 0], verts[b, 1] - verts[a, 1], verts[b, 2] - verts[a, 2]
        vx, vy, vz = verts[c, 0] - verts[a, 0], verts[c, 1] - verts[a, 1], verts[c, 2] - verts[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for vertex in (a, b, c):
            normals[vertex, 0] += nx
            normals[vertex, 1] += ny
            normals[vertex, 2] += nz
    for vertex in range(verts.shape[0]):
        x, y, z = normals[vertex, 0], normals[vertex, 1], normals[vertex, 2]
        length = np.sqrt(x * x + y * y + z * z)
        if length > 0.0:
            normals[vertex] /= length
    return normals


def shade(
    verts: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    colors: Float[np.ndarray, "V 3"],
    viewmat: Float[np.ndarray, "4 4"],
    K: Float[np.ndarray, "3 3"],
    width: int,
    height: int,
    background: float = 1.0,
) -> tuple[Float[np.ndarray, "{height} {width} 3"], Int[np.ndarray, "{height} {width}"]]:
    """A matt mesh under a light that travels with the camera.

    Args:
        verts: metres, world frame.
        faces: vertex indices, counter-clockwise seen from outside.
        colors: RGB of every vertex, 0..1.
        viewmat: world-to-camera, OpenCV axes.
        K: pixels.
        width: pixels.
        height: pixels.
        background: grey level where there is no face.
    Returns:
        RGB image (0..1, float32) and the face of each pixel (-1 for none).
    """
    face_ids, barycentric, _ = rasterize_mesh(verts, faces, viewmat, K, width, height)
    light = np.asarray(KEY_LIGHT) * (1.0, -1.0, -1.0)  # in OpenCV axes
    facing = vertex_normals(verts, faces) @ np.asarray(viewmat, np.float64)[:3, :3].T @ light
    lit = 0.35 + 0.65 * np.clip(facing, 0.0, 1.0)
    image = interpolate(colors * lit[:, None], faces, face_ids, barycentric)
    image[face_ids < 0] = background
    return image, face_ids
