import torch

from avatar.rig import Landmarks
from tests.rigs import toy_rig


def landmarks(faces: list[int], weights: list[list[float]]) -> Landmarks:
    count = len(faces)
    return Landmarks(
        torch.arange(count), torch.tensor(faces), torch.tensor(weights),
        torch.ones(count), torch.zeros(count, 3, 0),
    )  # fmt: skip


def test_a_point_by_hand():
    """A quarter, a quarter and a half of three corners, at two poses at once."""
    verts = torch.tensor([[0.0, 0, 0], [4, 0, 0], [0, 8, 0], [1, 1, 1]])
    faces = torch.tensor([[0, 1, 3], [0, 1, 2]])
    marks = landmarks([1], [[0.25, 0.25, 0.5]])
    points = marks.points(torch.stack([verts, verts + 1]), faces)
    torch.testing.assert_close(points, torch.tensor([[[1.0, 4, 0]], [[2.0, 5, 1]]]))


def test_landmarks_lie_on_their_triangles():
    rig = toy_rig()
    points = rig.landmarks.points(rig.v_template, rig.faces)
    torch.testing.assert_close(points, rig.v_template[rig.faces[rig.landmarks.faces]].mean(1))
