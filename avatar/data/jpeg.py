"""JPEG bytes of stored frames: quality 95, colours at full resolution.

Pillow's libjpeg-turbo uses the processor's vector instructions, which that of the OpenCV wheel
does not: the same bytes in a fifth of the time (benchmarks/ingest.py), the same pixels in half.
"""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

QUALITY = 95


def encode(image: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """JPEG bytes of an RGB image."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=QUALITY, subsampling=0)
    return stream.getvalue()


def decode(blob: UInt8[np.ndarray, "B"], size: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
    """The RGB image of JPEG bytes.

    Args:
        size: expected width and height.
    Raises:
        ValueError: no RGB image of that size; nothing is decoded then.
    """
    try:
        image = Image.open(io.BytesIO(blob.tobytes()), formats=("JPEG",))
        if image.mode != "RGB" or image.size != size:
            raise ValueError(f"is {image.mode} of {image.size}, expected RGB of {size}")
        return np.array(image)
    except (OSError, SyntaxError, Image.DecompressionBombError):
        raise ValueError("is no JPEG image") from None
