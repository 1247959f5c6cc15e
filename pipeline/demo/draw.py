"""Pixels of the demo's person: soft light, a little gloss, 2 x 2 samples a pixel (Numba)."""

import numpy as np
from jaxtyping import Float
from numba import njit

from avatar.render.mesh import rasterize_mesh
from pipeline.demo.person import HAIR, WET, Person

SAMPLES = 2  # per pixel and axis
# Fixed lights of the room: direction towards them (world axes, unit) and linear RGB.
KEY, KEY_COLOR = (-0.46, 0.57, 0.68), (0.93, 0.88, 0.81)
FILL, FILL_COLOR = (0.75, 0.15, 0.64), (0.26, 0.285, 0.335)
SKY_COLOR, GROUND_COLOR = (0.40, 0.42, 0.465), (0.20, 0.18, 0.165)
# Strength and exponent of the gloss, by material: skin, eye, wet, hair.
GLOSS = np.array([(0.04, 18.0), (0.60, 300.0), (0.16, 60.0), (0.07, 60.0)])
GAMMA = 2.2
CODES = 4096  # steps of the table that turns linear light into display values


def draw(
    person: Person,
    verts: Float[np.ndarray, "P 3"],
    normals: Float[np.ndarray, "P 3"],
    viewmat: Float[np.ndarray, "4 4"],
    K: Float[np.ndarray, "3 3"],
    size: tuple[int, int],
) -> tuple[Float[np.ndarray, "H W 3"], Float[np.ndarray, "H W"]]:
    """Draw a posed person.

    Args:
        person: who.
        verts: metres, world frame.
        normals: unit, as `Person.pose` gives them.
        viewmat: world-to-camera, OpenCV axes.
        K: pixels.
        size: width and height, pixels.
    Returns:
        Colour times coverage (display values, 0..1) and coverage (0..1), float32.
    """
    width, height = size
    fine = np.diag([SAMPLES, SAMPLES, 1.0]) @ K
    face_ids, barycentric, _ = rasterize_mesh(
        verts, person.faces, viewmat, fine, width * SAMPLES, height * SAMPLES
    )
    eye = -viewmat[:3, :3].T @ viewmat[:3, 3]
    return _shade(
        face_ids, barycentric, person.faces, person.material, person.uv, person.texture,
        np.concatenate([verts, normals, person.colors, person.ambient[:, None]], 1), eye,
        _LIGHTS, GLOSS, _TO_LINEAR, _TO_DISPLAY,
    )  # fmt: skip


_LIGHTS = np.array([KEY, KEY_COLOR, FILL, FILL_COLOR, SKY_COLOR, GROUND_COLOR])
_TO_LINEAR = (np.arange(256) / 255.0) ** GAMMA
_TO_DISPLAY = ((np.arange(CODES) + 0.5) / CODES) ** (1 / GAMMA)


@njit(cache=True, nogil=True)
def _shade(
    face_ids, barycentric, faces, material, uv, texture, values, eye, lights, gloss,
    to_linear, to_display,
):  # fmt: skip
    height, width = face_ids.shape[0] // SAMPLES, face_ids.shape[1] // SAMPLES
    rgb = np.zeros((height, width, 3), np.float32)
    alpha = np.zeros((height, width), np.float32)
    share = 1.0 / (SAMPLES * SAMPLES)
    at = np.zeros(10)  # interpolated: place, normal, colour, ambient
    color = np.zeros(3)
    for y in range(face_ids.shape[0]):
        for x in range(face_ids.shape[1]):
            face = face_ids[y, x]
            if face < 0:
                continue
            weights = barycentric[y, x]
            a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
            for k in range(10):
                at[k] = (
                    weights[0] * values[a, k]
                    + weights[1] * values[b, k]
                    + weights[2] * values[c, k]
                )
            kind = material[face]
            if kind == HAIR:
                color[0], color[1], color[2] = at[6], at[7], at[8]
            else:
                _look_up(color, texture, uv[face], weights, to_linear)
            _light(color, at, eye, kind, lights, gloss)
            alpha[y // SAMPLES, x // SAMPLES] += share
            for axis in range(3):
                code = min(int(color[axis] * CODES), CODES - 1)
                rgb[y // SAMPLES, x // SAMPLES, axis] += share * to_display[code]
    return rgb, alpha


@njit(cache=True, nogil=True)
def _look_up(color, texture, corners, weights, to_linear):
    """Bilinear texture colour, linear light; row 0 of the texture is v = 1."""
    size = texture.shape[0]
    u = weights[0] * corners[0, 0] + weights[1] * corners[1, 0] + weights[2] * corners[2, 0]
    v = weights[0] * corners[0, 1] + weights[1] * corners[1, 1] + weights[2] * corners[2, 1]
    column, row = u * size - 0.5, (1 - v) * size - 0.5
    x = min(max(int(column), 0), size - 2)
    y = min(max(int(row), 0), size - 2)
    fx, fy = column - x, row - y
    for axis in range(3):
        top = (1 - fx) * to_linear[texture[y, x, axis]] + fx * to_linear[texture[y, x + 1, axis]]
        y1 = y + 1
        low = (1 - fx) * to_linear[texture[y1, x, axis]] + fx * to_linear[texture[y1, x + 1, axis]]
        color[axis] = (1 - fy) * top + fy * low


@njit(cache=True, nogil=True)
def _light(color, at, eye, kind, lights, gloss):
    """Turn an albedo into reflected light, in place.

    Skin: wrapped diffuse and a broad gloss (Blinn 1977). Hair: `at` holds the strand's direction
    in place of a normal (Kajiya and Kay 1989).
    """
    vx, vy, vz = eye[0] - at[0], eye[1] - at[1], eye[2] - at[2]
    scale = 1 / np.sqrt(vx * vx + vy * vy + vz * vz)
    vx, vy, vz = vx * scale, vy * scale, vz * scale
    scale = 1 / (np.sqrt(at[3] * at[3] + at[4] * at[4] + at[5] * at[5]) + 1e-12)
    if kind != HAIR and at[3] * vx + at[4] * vy + at[5] * vz < 0:
        scale = -scale
    nx, ny, nz = at[3] * scale, at[4] * scale, at[5] * scale
    open_sky = at[9]
    visible = min(0.25 + 1.1 * open_sky, 1.0)
    red = green = blue = shine = 0.0
    for light in range(2):
        lx, ly, lz = lights[2 * light]
        facing = nx * lx + ny * ly + nz * lz
        hx, hy, hz = lx + vx, ly + vy, lz + vz
        middle = (nx * hx + ny * hy + nz * hz) / np.sqrt(hx * hx + hy * hy + hz * hz)
        if kind == HAIR:
            facing = 0.75 * np.sqrt(max(1.0 - facing * facing, 0.0))
            middle = np.sqrt(max(1.0 - middle * middle, 0.0))
        else:
            facing = max((facing + 0.3) / 1.3, 0.0)
        red += facing * visible * lights[2 * light + 1, 0]
        green += facing * visible * lights[2 * light + 1, 1]
        blue += facing * visible * lights[2 * light + 1, 2]
        if middle > 0.75:  # below, every gloss is under a thousandth
            shine += gloss[kind, 0] * middle ** gloss[kind, 1] * visible * lights[2 * light + 1, 1]
    up = 0.5 + 0.5 * ny
    sky = 0.7 * open_sky if kind == WET else open_sky * np.sqrt(open_sky)
    color[0] = color[0] * (red + sky * (up * lights[4, 0] + (1 - up) * lights[5, 0])) + shine
    color[1] = color[1] * (green + sky * (up * lights[4, 1] + (1 - up) * lights[5, 1])) + shine
    color[2] = color[2] * (blue + sky * (up * lights[4, 2] + (1 - up) * lights[5, 2])) + shine
