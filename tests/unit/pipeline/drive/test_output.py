"""Outputs: what is written is read back; what cannot be written is refused first."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from avatar.base.errors import UserError
from pipeline import media
from pipeline.drive import output


def batch(count: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """A red disc with a soft edge, rendered over black, and its coverage."""
    y, x = torch.meshgrid(torch.arange(48), torch.arange(64), indexing="ij")
    alpha = ((20 - ((x - 32) ** 2 + (y - 24) ** 2).sqrt()) / 8).clamp(0, 1)
    alpha = alpha[None, :, :, None].repeat(count, 1, 1, 1)
    return alpha * torch.tensor([0.8, 0.2, 0.1]), alpha


def test_a_folder_of_images_with_alpha(tmp_path: Path) -> None:
    rgb, alpha = batch()
    expected = (alpha[0, :, :, 0] * 255).round().numpy()
    output.write(tmp_path / "a", output.cut_out(rgb, alpha), 25)
    assert [path.name for path in sorted((tmp_path / "a").iterdir())] == [
        f"{k:06d}.png" for k in range(3)
    ]
    image = cv2.imread(str(tmp_path / "a/000001.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_allclose(image[..., 3], expected, atol=1)
    inside = image[image[..., 3] > 64][:, :3]
    assert np.abs(inside - [25.5, 51, 204]).max() <= 3, "straight colours, not darkened"


def test_a_video_with_alpha_is_read_back(tmp_path: Path) -> None:
    frames = output.cut_out(*batch())
    output.write(tmp_path / "a.mov", frames, 25)
    with av.open(str(tmp_path / "a.mov")) as container:
        read = [frame.to_ndarray(format="rgba") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 25
    assert len(read) == 3
    assert np.abs(read[1][..., 3].astype(int) - frames[1][..., 3]).max() <= 2
    assert np.abs(read[1][24, 32].astype(int) - [204, 51, 26, 255]).max() <= 6


def test_a_video(tmp_path: Path) -> None:
    rgb, alpha = batch()
    output.write(tmp_path / "a.mp4", output.opaque(rgb + 1 - alpha, alpha), 30)
    read = [image for _, image in media.read_video(tmp_path / "a.mp4")]
    assert len(read) == 3
    assert np.abs(read[0][24, 32].astype(int) - [204, 51, 26]).max() <= 8
    assert read[0][0, 0].min() > 250


def test_batches_in_a_row() -> None:
    frames = [np.full((2, 2, 3), k, np.uint8) for k in range(3)]
    assert [frame[0, 0, 0] for frame in output.each([frames[:2], frames[2:]])] == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "transparent", "message"),
    [
        ("a.avi", False, "expected a name that ends in"),
        ("a.mp4", True, "H.264 has no alpha"),
        ("a.mov", False, "background transparent"),
        ("folder.mp4", False, "is a folder"),
        ("plain", False, "is no folder"),
        ("folder.d/others", False, "holds other files"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, name: str, transparent: bool, message: str) -> None:
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "plain").touch()
    (tmp_path / "folder.d/others").mkdir(parents=True)
    (tmp_path / "folder.d/others/000000.png").touch()
    output.check(tmp_path / "folder.d/others", transparent)  # our own images are replaced
    (tmp_path / "folder.d/others/letter.txt").touch()
    with pytest.raises(UserError, match=message):
        output.check(tmp_path / name, transparent)
