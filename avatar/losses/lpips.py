"""LPIPS, the learned perceptual distance of two images, as a loss and as a metric.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018,
version 0.1 with its linear heads. A network trained on ImageNet processes both images; its
activations at five depths are normalised at every pixel, and their squared differences are
weighted by the head of that depth, averaged over the pixels and summed.

The network's weights (torchvision's `vgg16` or `alexnet`) are a file of the user's: nothing is
downloaded. The heads are those of the torchmetrics package (BSD 2-clause, R. Zhang and others).
A value is meaningful only together with its backbone.
"""

from importlib.util import find_spec
from pathlib import Path

import safetensors.torch
import torch
from jaxtyping import Float
from torch import Tensor, nn

from avatar.base import files
from avatar.base.errors import UserError
from avatar.losses.settings import Backbone, LpipsSettings

# Indices of the layers whose output is compared, and the least width and height that reach them.
_DEPTHS = {"vgg": (3, 8, 15, 22, 29), "alex": (1, 4, 7, 9, 11)}
_LEAST = {"vgg": 16, "alex": 31}
_NAMES = {"vgg": "vgg16", "alex": "alexnet"}  # torchvision's
_HEADS_SHA256 = {
    "vgg": "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    "alex": "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
}
_EPS = 1e-8  # keeps the slope of a length finite where nothing is active


class Lpips(nn.Module):
    """The distance; its weights are fixed. Made by `load_lpips`."""

    shift: Tensor
    scale: Tensor

    def __init__(
        self, backbone: Backbone, layers: nn.Sequential, heads: list[Float[Tensor, "_"]]
    ) -> None:
        super().__init__()
        self._depths, self._least, self._backbone = _DEPTHS[backbone], _LEAST[backbone], backbone
        self.layers = layers.requires_grad_(False)
        self.heads = nn.ParameterList(nn.Parameter(head, requires_grad=False) for head in heads)
        # The paper's constants, which are for images -1..1.
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]))
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]))

    def forward(
        self, image: Float[Tensor, "*B H W 3"], truth: Float[Tensor, "*B H W 3"]
    ) -> Float[Tensor, ""]:
        """The distance, mean of the images; 0 is equal. `truth` gets no gradient.

        Args:
            image: RGB, 0..1.
            truth: what it should be.
        Raises:
            UserError: the images are too small for the network.
        """
        height, width = image.shape[-3:-1]
        if min(height, width) < self._least:
            raise UserError(
                f"LPIPS with {self._backbone} needs images of at least {self._least}x{self._least} "
                f"pixels, got {width}x{height}: use larger frames or switch LPIPS off"
            )
        with torch.no_grad():
            expected = self._activations(truth)
        found = self._activations(image)
        return torch.stack(
            [
                (a - b).square().mean((0, 2, 3)) @ head
                for a, b, head in zip(found, expected, self.heads, strict=True)
            ]
        ).sum()

    def _activations(self, images: Float[Tensor, "*B H W 3"]) -> list[Float[Tensor, "N _ _ _"]]:
        """Of unit length at every pixel, for each depth."""
        x = (2 * images.flatten(0, -4) if images.ndim > 3 else 2 * images[None]) - 1
        x = ((x - self.shift) / self.scale).permute(0, 3, 1, 2)
        found = []
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index in self._depths:
                found.append(x / (x.square().sum(1, keepdim=True) + _EPS).sqrt())
        return found


def load_lpips(settings: LpipsSettings) -> Lpips:
    """Read the network's weights and the heads.

    Raises:
        UserError: the weights' file is absent, has another sha256, is not plain weights, or its
            arrays are not those of the backbone.
    """
    backbone = settings.backbone
    weights = _read(Path(settings.weights), settings.sha256, f"torchvision's {_NAMES[backbone]}")
    with torch.device("meta"):  # no random start: it would disturb the caller's random numbers
        layers = _vgg() if backbone == "vgg" else _alex()
    expected = {f"features.{name}": value for name, value in layers.state_dict().items()}
    _check(weights, expected, settings)
    layers.load_state_dict(
        {name.removeprefix("features."): weights[name].float() for name in expected}, assign=True
    )
    return Lpips(backbone, layers, _heads(backbone))


def _vgg() -> nn.Sequential:
    """VGG16's convolutions, up to the last that is compared."""
    layers: list[nn.Module] = []
    before = 3
    for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(depth):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(inplace=True)]
            before = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers[:-1])


def _alex() -> nn.Sequential:
    """AlexNet's convolutions, up to the last that is compared."""
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(inplace=True)),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(inplace=True)),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(inplace=True)),
    )


def _heads(backbone: Backbone) -> list[Float[Tensor, "_"]]:
    """One weight for each channel of each depth."""
    package = find_spec("torchmetrics")
    assert package is not None
    assert package.origin is not None
    path = Path(package.origin).parent / "functional/image/lpips_models" / f"{backbone}.pth"
    arrays = _read(path, _HEADS_SHA256[backbone], "torchmetrics 1.9.0")
    return [arrays[f"lin{depth}.model.1.weight"].flatten() for depth in range(5)]


def _read(path: Path, sha256: str, what: str) -> dict[str, Tensor]:
    """The arrays of a file, without running any code that it may hold."""
    if not path.is_file():
        raise UserError(f"{path} does not exist: give lpips.weights the file of {what}")
    found = files.sha256(path)
    if found != sha256.lower():
        raise UserError(
            f"{path}: sha256 is {found}, expected {sha256}: the file is damaged or another than "
            f"that of {what}"
        )
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        arrays = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # whatever a file of any kind makes the two readers raise
        arrays = None
    if not isinstance(arrays, dict):
        raise UserError(
            f"{path} is no .safetensors and no torch file of plain arrays: give lpips.weights the "
            f"state dict of {what}"
        )
    return arrays


def _check(
    weights: dict[str, Tensor], expected: dict[str, Tensor], settings: LpipsSettings
) -> None:
    for name, value in expected.items():
        found = weights.get(name)
        shape = tuple(found.shape) if isinstance(found, Tensor) else "nothing"
        if shape != tuple(value.shape):
            raise UserError(
                f"{settings.weights}: {name} should be {tuple(value.shape)}, got {shape}: give "
                f"the state dict of torchvision's {_NAMES[settings.backbone]}, or set "
                "lpips.backbone"
            )
