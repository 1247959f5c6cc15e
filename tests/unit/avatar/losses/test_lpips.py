"""LPIPS with random weights against torchmetrics' network, and what it refuses.

The weights of a real backbone cannot be here; that layout, constants and heads are the published
ones, torchmetrics vouches for.
"""

import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torchmetrics.functional.image import lpips as oracle

from avatar.base import files
from avatar.base.errors import UserError
from avatar.losses.lpips import Lpips, load_lpips
from avatar.losses.settings import LpipsSettings
from tests.networks import CONVS, random_weights

POOLS = {"alex": ((2, 5), 3), "vgg": ((4, 9, 16, 23), 2)}
LENGTH = {"alex": 12, "vgg": 30}


@pytest.fixture(scope="module", params=["alex", "vgg"])
def settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A file of random weights for each backbone."""
    path = tmp_path_factory.mktemp("weights") / f"{request.param}.safetensors"
    safetensors.torch.save_file(random_weights(request.param), path)
    return LpipsSettings(str(path), files.sha256(path), request.param)


@pytest.fixture(scope="module")
def alex(tmp_path_factory: pytest.TempPathFactory) -> LpipsSettings:
    path = tmp_path_factory.mktemp("weights") / "alex.pth"
    torch.save(random_weights("alex"), path)
    return LpipsSettings(str(path), files.sha256(path), "alex")


def _features(weights: dict[str, Tensor], backbone: str) -> nn.Sequential:
    """What torchvision would give torchmetrics."""
    layers: list[nn.Module] = [nn.ReLU() for _ in range(LENGTH[backbone])]
    for index, out, before, kernel, stride, padding in CONVS[backbone]:
        layers[index] = nn.Conv2d(before, out, kernel, stride, padding)
        layers[index].weight.data = weights[f"features.{index}.weight"]
        layers[index].bias.data = weights[f"features.{index}.bias"]
    places, size = POOLS[backbone]
    for index in places:
        layers[index] = nn.MaxPool2d(size, 2)
    return nn.Sequential(*layers)


def _pair(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    image, truth = (torch.rand(*shape, 3, generator=generator).double() for _ in range(2))
    return image, truth


def test_equal_to_torchmetrics(settings: LpipsSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    features = _features(random_weights(settings.backbone), settings.backbone)
    monkeypatch.setattr(oracle, "_get_tv_model_features", lambda *_: features)
    theirs = oracle._LPIPS(net=settings.backbone).double()
    image, truth = _pair(2, 1, 67, 50)
    nchw = [v.flatten(0, 1).permute(0, 3, 1, 2) for v in (image, truth)]
    expected = theirs(*nchw, normalize=True)
    assert expected.shape == (2, 1, 1, 1)
    assert expected.min() > 0.01
    ours = load_lpips(settings).double()
    assert ours(image, truth).item() == pytest.approx(expected.mean().item(), rel=1e-6)
    assert ours(image[0, 0], truth[0, 0]).item() == pytest.approx(expected[0].item(), rel=1e-6)


def test_by_hand(tmp_path: Path) -> None:
    """Only the first layer sees: channel 0 the red of one pixel, channel 1 always 1."""
    weights = {name: torch.zeros_like(value) for name, value in random_weights("alex").items()}
    weights["features.0.weight"][0, 0, 5, 5] = 1.0
    weights["features.0.bias"][1] = 1.0
    path = tmp_path / "alex.safetensors"
    safetensors.torch.save_file(weights, path)
    lpips = load_lpips(LpipsSettings(str(path), files.sha256(path), "alex"))
    image, truth = torch.ones(31, 31, 3), torch.full((31, 31, 3), 0.6)
    units = []
    for red in (1.0, 0.6):
        a = (2 * red - 1 + 0.030) / 0.458
        units.append(torch.tensor([a, 1.0]) / (a * a + 1) ** 0.5)
    expected = lpips.heads[0][:2] @ (units[0] - units[1]).square()
    assert expected > 0
    assert lpips(image, truth).item() == pytest.approx(expected.item(), rel=1e-5)


def test_equal_images_are_at_distance_zero(settings: LpipsSettings) -> None:
    lpips = load_lpips(settings)
    image = _pair(40, 33)[0].float().requires_grad_()
    distance = lpips(image, image)
    distance.backward()
    assert distance.item() == 0
    assert image.grad is not None
    assert image.grad.abs().max() == 0


def test_the_gradient_is_the_slope(settings: LpipsSettings) -> None:
    """And it goes to the image alone."""
    lpips = load_lpips(settings).double()
    image, truth = (v.requires_grad_() for v in _pair(31, 33))
    lpips(image, truth).backward()
    assert image.grad is not None
    assert truth.grad is None
    assert all(parameter.grad is None for parameter in lpips.parameters())
    along = torch.randn(image.shape, generator=torch.Generator().manual_seed(2)).double()
    with torch.no_grad():
        above, below = (lpips(image + step * along, truth) for step in (1e-8, -1e-8))  # few kinks
    slope = (above - below) / 2e-8
    assert (image.grad * along).sum().item() == pytest.approx(slope.item(), rel=1e-3)


def test_nothing_active_gives_no_nan(tmp_path: Path) -> None:
    weights = {name: torch.zeros_like(value) for name, value in random_weights("alex").items()}
    path = tmp_path / "alex.safetensors"
    safetensors.torch.save_file(weights, path)
    lpips = load_lpips(LpipsSettings(str(path), files.sha256(path), "alex"))
    image, truth = (v.float().requires_grad_() for v in _pair(31, 31))
    lpips(image, truth).backward()
    assert image.grad is not None
    assert image.grad.abs().max() == 0


def test_loading_leaves_random_numbers_alone(alex: LpipsSettings) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    lpips = load_lpips(alex)
    assert torch.equal(torch.rand(3), expected)
    assert isinstance(lpips, Lpips)
    assert not any(parameter.requires_grad for parameter in lpips.parameters())


@pytest.mark.parametrize(("backbone", "least"), [("alex", 31), ("vgg", 16)])
def test_small_images_are_refused(backbone: str, least: int, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(random_weights(backbone), path)
    lpips = load_lpips(LpipsSettings(str(path), files.sha256(path), backbone))
    assert torch.isfinite(lpips(*(v.float() for v in _pair(least, least + 1))))
    with pytest.raises(UserError, match=f"at least {least}x{least} pixels, got 40x{least - 1}:"):
        lpips(*(v.float() for v in _pair(least - 1, 40)))


def test_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"vgg16.pth does not exist: .* torchvision's vgg16"):
        load_lpips(LpipsSettings(str(tmp_path / "vgg16.pth"), "0" * 64))


def test_another_files_sha256(alex: LpipsSettings) -> None:
    with pytest.raises(UserError, match=f"sha256 is {alex.sha256}, expected {'0' * 64}"):
        load_lpips(LpipsSettings(alex.weights, "0" * 64, "alex"))
    load_lpips(LpipsSettings(alex.weights, alex.sha256.upper(), "alex"))


def test_the_other_backbones_weights(alex: LpipsSettings) -> None:
    expected = r"features.0.weight should be \(64, 3, 3, 3\), got \(64, 3, 11, 11\): .* vgg16"
    with pytest.raises(UserError, match=expected):
        load_lpips(LpipsSettings(alex.weights, alex.sha256, "vgg"))


def test_a_layer_that_is_not_there(tmp_path: Path) -> None:
    weights = random_weights("alex")
    del weights["features.10.bias"]
    path = tmp_path / "alex.pth"
    torch.save(weights, path)
    with pytest.raises(UserError, match=r"features.10.bias should be \(256,\), got nothing"):
        load_lpips(LpipsSettings(str(path), files.sha256(path), "alex"))


class Payload:
    """What a hostile file would have the reader do."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self):
        return Path.touch, (self._target,)


@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_a_file_that_calls_a_function_is_refused(kind: str, tmp_path: Path) -> None:
    path, target = tmp_path / "alex.pth", tmp_path / "it-ran"
    if kind == "torch":
        torch.save({"features.0.weight": Payload(target)}, path)
    else:
        path.write_bytes(pickle.dumps(Payload(target), protocol=2))
    with pytest.raises(UserError, match="no torch file of plain arrays"):
        load_lpips(LpipsSettings(str(path), files.sha256(path), "alex"))
    assert not target.exists()
    torch.load(path, weights_only=False) if kind == "torch" else pickle.loads(path.read_bytes())
    assert target.exists()


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights at all"])
def test_a_file_of_something_else(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{name} is no .safetensors and no torch file"):
        load_lpips(LpipsSettings(str(path), files.sha256(path)))
