import torch

from avatar.render.types import Splats, Views
from tests.unit.avatar.render.scenes import packed, random_scene


def test_views_move_to_another_device_and_keep_their_size():
    views = Views(torch.eye(4)[None], torch.eye(3)[None], 5, 7)
    moved = views.to("meta")
    assert (moved.viewmats.device.type, moved.Ks.device.type) == ("meta", "meta")
    assert (moved.width, moved.height) == (5, 7)
    assert views.viewmats.device.type == "cpu"


def test_a_scene_without_harmonics_has_no_degree():
    splats, views, backgrounds = packed(random_scene(4, 6, 8))
    assert isinstance(splats, Splats)
    assert splats.sh_degree is None
    assert splats.colors.shape == (4, 3)
    assert views[2:] == (6, 8)
    assert backgrounds is not None
