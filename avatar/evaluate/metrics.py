"""Image metrics on float32 RGB images 0..1.

Squared error, SSIM and FLIP are maps, of which any region has a mean; MS-SSIM is of the whole.
"""

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Bool, Float

from avatar.losses.ssim import RADIUS, ssim_factors

PIXELS_PER_DEGREE = 67.0206  # FLIP's default: a 4k display of 0.7 m seen from 0.7 m
_MAX_PSNR = 100.0  # dB; identical images
# MS-SSIM's exponents, finest scale first.
# Source: Wang et al., "Multi-scale structural similarity for image quality assessment", 2003.
_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

# FLIP's constants (table 1 and sections 4-5 of the paper): contrast sensitivity of the three
# opponent channels as sums of Gaussians (a, b), feature width in degrees, exponents and knee.
_SENSITIVITY = (((1.0, 0.0047),), ((1.0, 0.0053),), ((34.1, 0.04), (13.5, 0.025)))
_FEATURE_WIDTH, _FEATURE_POWER = 0.082, 0.5
_COLOR_POWER, _KNEE, _KNEE_VALUE = 0.7, 0.4, 0.95

_RGB_TO_XYZ = np.array(
    [
        [10135552 / 24577794, 8788810 / 24577794, 4435075 / 24577794],
        [2613072 / 12288897, 8788810 / 12288897, 887015 / 12288897],
        [1425312 / 73733382, 8788810 / 73733382, 70074185 / 73733382],
    ]
)
_WHITE = _RGB_TO_XYZ.sum(1)
_XYZ_TO_RGB = np.linalg.inv(_RGB_TO_XYZ)
# Linear in XYZ relative to white: Y' = 116 y - 16, C1 = 500 (x - y), C2 = 200 (y - z).
_XYZ_TO_OPPONENT = np.array([[0, 116, 0], [500, -500, 0], [0, 200, -200]]) / _WHITE
_RGB_TO_OPPONENT = (_XYZ_TO_OPPONENT @ _RGB_TO_XYZ).astype(np.float32)
_OPPONENT_TO_RGB = np.linalg.inv(_XYZ_TO_OPPONENT @ _RGB_TO_XYZ).astype(np.float32)
_RGB_TO_RELATIVE_XYZ = (_RGB_TO_XYZ / _WHITE[:, None]).astype(np.float32)

Image = Float[np.ndarray, "H W 3"]
Map = Float[np.ndarray, "H W"]


def squared_error(image: Image, truth: Image) -> Map:
    """Squared difference, mean of the channels."""
    return _channel_mean(np.square(image - truth))


def _channel_mean(image: Image) -> Map:
    """`image.mean(2)`, the same bits in a tenth of the time."""
    return (image[..., 0] + image[..., 1] + image[..., 2]) / 3


def psnr(mean_squared_error: float) -> float:
    """Decibels for signals 0..1, at most 100."""
    return min(_MAX_PSNR, -10.0 * float(np.log10(max(mean_squared_error, 1e-30))))


def ssim(image: Image, truth: Image) -> Map:
    """SSIM at every pixel, mean of the channels; window and constants: `avatar.losses.ssim`."""
    light, structure = ssim_factors(image, truth)
    return _channel_mean(light * structure)


def ms_ssim(image: Image, truth: Image) -> float:
    """Multi-scale SSIM, of windows that lie inside the image; NaN for a side below 176 pixels."""
    if min(image.shape[:2]) >> (len(_SCALES) - 1) <= 2 * RADIUS:
        return float("nan")
    product, inside = 1.0, slice(RADIUS, -RADIUS)
    for scale, exponent in enumerate(_SCALES):
        if scale:
            image, truth = _halved(image), _halved(truth)
        light, structure = (v[inside, inside] for v in ssim_factors(image, truth))
        last = scale == len(_SCALES) - 1
        mean = float((light * structure if last else structure).mean(dtype=np.float64))
        product *= max(mean, 0.0) ** exponent
    return product


def _halved(image: Image) -> Float[np.ndarray, "h w 3"]:
    """Means of two by two pixels; an odd last row or column is left out."""
    height, width = (size // 2 for size in image.shape[:2])
    return cv2.resize(image[: 2 * height, : 2 * width], (width, height), None, 0, 0, cv2.INTER_AREA)


def flip(image: Image, truth: Image) -> Map:
    """FLIP error 0..1 at every pixel: the visible difference when the two are shown in turn.

    Source: Andersson et al., "FLIP: A Difference Evaluator for Alternating Images", 2020, at
    67 pixels per degree. The filters are sums of separable Gaussians, which makes this several
    times faster than the authors' two-dimensional ones; tests compare the two.
    """
    opponents = [_opponent(v) for v in (image, truth)]
    color = _color_difference(*(_perceived(v) for v in opponents))
    feature = _feature_difference(*(v[..., 0] for v in opponents))
    return np.power(color, 1.0 - feature)


def mask_iou(alpha: Map, coverage: Map) -> float:
    """Intersection over union of the pixels of at least one half; 1 where both have none."""
    truth, found = alpha >= 0.5, coverage >= 0.5
    union = np.count_nonzero(truth | found)
    return np.count_nonzero(truth & found) / union if union else 1.0


def flicker(mean_squared_change: float) -> float:
    """Per cent of the colours' range, of `change` maps.

    Root mean square of how the error changes from one frame to the next: what changes in the render
    and not in the truth, or the other way. Source: dtSSD, Erofeev et al., "Perceptually motivated
    benchmark for video matting", 2015, on colours.
    """
    return 100.0 * float(np.sqrt(mean_squared_change))


# Metric of a map, and what the map's mean over a region becomes.
_OF_MAP: dict[str, tuple[str, Callable[[float], float]]] = {
    "error": ("psnr", psnr), "ssim": ("ssim", float), "flip": ("flip", float),
    "change": ("flicker", flicker),
}  # fmt: skip


def region_scores(
    maps: dict[str, Map], regions: dict[str, Bool[np.ndarray, "H W"]]
) -> dict[str, dict[str, float]]:
    """The metrics of every region with at least one pixel.

    Args:
        maps: some of `error` (squared), `ssim`, `flip`, `change` (squared, of the error).
        regions: masks by name.
    Returns:
        region -> {psnr, ssim, flip, flicker}, of the maps that are there.
    """
    inside = {name: np.flatnonzero(mask) for name, mask in regions.items()}
    return {
        name: {
            metric: of_mean(float(maps[of].take(pixels).mean()))
            for of, (metric, of_mean) in _OF_MAP.items()
            if of in maps
        }
        for name, pixels in inside.items()
        if len(pixels)
    }


def _opponent(image: Image) -> Image:
    """sRGB to the linear opponent space YCxCz; Y' without its -16, which all that follows adds."""
    image = np.clip(image, 0.0, 1.0).astype(np.float32, copy=False)
    linear = np.where(image <= 0.04045, image / 12.92, np.power((image + 0.055) / 1.055, 2.4))
    return cv2.transform(linear, _RGB_TO_OPPONENT)


def _perceived(opponent: Image) -> Image:
    """Blurred as the eye does, in CIELAB with the chroma damped by darkness (Hunt)."""
    channels = zip(cv2.split(opponent), _SENSITIVITY, strict=True)
    blurred = cv2.merge([_contrast_filter(channel, terms) for channel, terms in channels])
    rgb = np.clip(cv2.transform(blurred, _OPPONENT_TO_RGB), 0.0, 1.0)
    return _hunt_lab(rgb)


def _hunt_lab(linear_rgb: Image) -> Image:
    xyz = np.asarray(cv2.transform(linear_rgb, _RGB_TO_RELATIVE_XYZ), np.float32)
    delta = 6.0 / 29.0
    root = np.where(xyz > delta**3, np.cbrt(xyz), xyz / (3 * delta**2) + 4.0 / 29.0)
    light = 116.0 * root[..., 1] - 16.0
    hunt = 0.01 * light
    a = 500.0 * (root[..., 0] - root[..., 1]) * hunt
    b = 200.0 * (root[..., 1] - root[..., 2]) * hunt
    return cv2.merge([light, a, b])


def _contrast_filter(channel: Map, terms: tuple[tuple[float, float], ...]) -> Map:
    widest = max(b for sensitivity in _SENSITIVITY for _, b in sensitivity)
    radius = int(np.ceil(3 * np.sqrt(widest / (2 * np.pi**2)) * PIXELS_PER_DEGREE))
    squares = (np.arange(-radius, radius + 1) / PIXELS_PER_DEGREE) ** 2
    taps = [np.exp(-(np.pi**2) * squares / b) for _, b in terms]
    weights = [a * np.pi / b for a, b in terms]
    total = sum(w * t.sum() ** 2 for w, t in zip(weights, taps, strict=True))
    scaled = [np.sqrt(w / total) * t for w, t in zip(weights, taps, strict=True)]
    first, *others = (_separable(channel, t, t) for t in scaled)
    return sum(others, first)


def _separable(
    channel: Map, along_x: Float[np.ndarray, "L"], along_y: Float[np.ndarray, "L"]
) -> Map:
    return cv2.sepFilter2D(channel, cv2.CV_32F, along_x, along_y, borderType=cv2.BORDER_REPLICATE)


def _hyab(a: Image, b: Image) -> Map:
    d = a - b
    return np.abs(d[..., 0]) + np.sqrt(d[..., 1] ** 2 + d[..., 2] ** 2)


def _color_difference(a: Image, b: Image) -> Map:
    green, blue = (_hunt_lab(np.array([[c]], np.float32)) for c in ((0, 1, 0), (0, 0, 1)))
    largest = float(_hyab(green, blue)[0, 0]) ** _COLOR_POWER
    error = np.power(_hyab(a, b), _COLOR_POWER)
    knee = _KNEE * largest
    above = _KNEE_VALUE + (error - knee) / (largest - knee) * (1.0 - _KNEE_VALUE)
    return np.where(error < knee, _KNEE_VALUE / knee * error, above)


def _feature_difference(a: Map, b: Map) -> Map:
    """Difference of edges or of points, whichever is larger, raised to its power."""
    sigma = 0.5 * _FEATURE_WIDTH * PIXELS_PER_DEGREE
    radius = int(np.ceil(3 * sigma))
    x = np.arange(-radius, radius + 1)
    bell = np.exp(-(x**2) / (2 * sigma**2))
    edge = -x * bell
    point = (x**2 / sigma**2 - 1) * bell
    # Each two-dimensional filter's positive weights add up to 1, its negative ones to -1.
    edge = edge / (edge[edge > 0].sum() * bell.sum())
    point = np.where(point > 0, point / point[point > 0].sum(), point / -point[point < 0].sum())
    point = point / bell.sum()
    grey = [v / 116.0 for v in (a, b)]

    def size(channel: Map, taps: Float[np.ndarray, "L"]) -> Map:
        return cv2.magnitude(_separable(channel, taps, bell), _separable(channel, bell, taps))

    edges = np.abs(size(grey[0], edge) - size(grey[1], edge))
    points = np.abs(size(grey[0], point) - size(grey[1], point))
    return (np.maximum(edges, points) / np.sqrt(2.0)) ** _FEATURE_POWER
