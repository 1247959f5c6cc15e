"""A person made of an ellipse, before a wall."""

import cv2
import numpy as np


def ellipse(height: int, width: int, scale: float = 1.0) -> np.ndarray:
    """Coverage of an ellipse, antialiased by drawing it eight times as large."""
    large = np.zeros((height * 8, width * 8), np.uint8)
    axes = (int(width * 8 * 0.25 * scale), int(height * 8 * 0.35 * scale))
    cv2.ellipse(large, (width * 4, height * 4), axes, 0, 0, 360, 255, -1)
    return cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA) / np.float32(255)


def studio(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A patterned wall, an ellipse before it with a soft shadow beside it: image, plate, alpha."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(70, 200, (9, 9, 3)).astype(np.float32)
    plate = cv2.resize(coarse, (128, 128), interpolation=cv2.INTER_CUBIC)
    alpha = ellipse(128, 128)
    shadow = 1 - 0.35 * cv2.GaussianBlur(np.roll(alpha, 12, 1), (0, 0), 6)
    skin = np.array([215, 160, 130], np.float32) * (1 - 0.2 * np.linspace(0, 1, 128)[:, None, None])
    image = alpha[..., None] * skin + (1 - alpha[..., None]) * plate * shadow[..., None]
    image += random.normal(0, 3, image.shape)
    noisy_plate = plate + random.normal(0, 3, plate.shape)
    return *(np.clip(x, 0, 255).astype(np.uint8) for x in (image, noisy_plate)), alpha
