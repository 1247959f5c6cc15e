"""PNG and JPEG images of a capture: 8 or 16 bits, grey or colour, with or without alpha."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from avatar.base.errors import UserError
from pipeline.media import limits

SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})


@dataclass(frozen=True)
class Picture:
    """An image as stored.

    Attributes:
        rgb: colours; where alpha is 0 they may be anything.
        alpha: straight alpha, 0 transparent to 255 opaque, or None without an alpha channel.
    """

    rgb: UInt8[np.ndarray, "H W 3"]
    alpha: UInt8[np.ndarray, "H W"] | None

    def composite(self) -> UInt8[np.ndarray, "H W 3"]:
        """The image over black: what is transparent is not seen."""
        if self.alpha is None:
            return self.rgb
        weighted = self.rgb.astype(np.uint16) * self.alpha[..., None]
        return ((weighted + 127) // 255).astype(np.uint8)


def read_image(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """An image in RGB, over black where it is transparent; raises as `read_picture`."""
    return read_picture(path).composite()


def read_picture(path: Path) -> Picture:
    """Read a PNG or JPEG image, rotated as its EXIF tag says; 16 bits are shifted right by 8.

    Raises:
        UserError: not such an image, damaged, or too large.
    """
    try:
        image = ImageOps.exif_transpose(_opened(path))
        if image.mode.startswith("I"):
            return _of_16_bits(image)
        if not image.has_transparency_data:
            return Picture(np.asarray(image.convert("RGB")), None)
        key = image.info.get("transparency")
        if image.mode == "RGB" and isinstance(key, tuple) and max(key) > 255:
            image.info["transparency"] = tuple(value >> 8 for value in key)
        pixels = np.asarray(image.convert("RGBA"))
        return Picture(np.ascontiguousarray(pixels[..., :3]), pixels[..., 3].copy())
    except (OSError, ValueError, SyntaxError):
        raise _unreadable(path) from None


def may_have_alpha(path: Path) -> bool:
    """Whether an image's header names an alpha channel or a transparent colour."""
    try:
        return bool(_opened(path).has_transparency_data)
    except (OSError, ValueError, SyntaxError):
        raise _unreadable(path) from None


def _opened(path: Path) -> Image.Image:
    """The image, its pixels not yet decoded."""
    if not path.is_file():  # a named pipe would block
        raise UserError(f"{path} is not a plain file: expected an image")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path, formats=("PNG", "JPEG"))
    except Image.DecompressionBombError:
        raise _unreadable(path) from None
    if image.width * image.height > limits.PIXELS:
        raise UserError(f"{path} has {image.width} x {image.height} pixels: scale it down")
    return image


def _of_16_bits(image: Image.Image) -> Picture:
    """Grey of 16 bits; Pillow's own conversion clips it to 255."""
    values = np.asarray(image).astype(np.int64)
    grey = np.clip(values >> 8, 0, 255).astype(np.uint8)
    rgb = np.repeat(grey[..., None], 3, 2)
    key = image.info.get("transparency")
    return Picture(rgb, None if key is None else np.where(values == key, 0, 255).astype(np.uint8))


def _unreadable(path: Path) -> UserError:
    return UserError(f"{path} is not an image that can be read: replace it")
