"""The user's networks: small modules with the signatures of the real ones."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from avatar.base import settings
from avatar.base.errors import UserError
from pipeline.ingest.run import ingest
from pipeline.matte.backends import Choice, start
from pipeline.matte.run import matte
from pipeline.matte.settings import MatteSettings
from tests.media_files import write_clip


class Recurrent(torch.nn.Module):
    """RobustVideoMatting's signature; alpha is the red channel plus 10 a frame seen before."""

    def forward(
        self,
        src: Tensor,
        r1: Tensor | None = None,
        r2: Tensor | None = None,
        r3: Tensor | None = None,
        r4: Tensor | None = None,
        downsample_ratio: float = 1.0,
        segmentation_pass: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        before = r1 if r1 is not None else torch.zeros(1, 16, 2, 2)
        alpha = src[:, :1] + before.mean() * 10 / 255 + (1 - downsample_ratio)
        return src, alpha, before + 1, before, before, before


class Difference(torch.nn.Module):
    """BackgroundMattingV2's signature; alpha is the difference of the red channels."""

    def forward(self, src: Tensor, bgr: Tensor) -> tuple[Tensor, Tensor]:
        assert src.shape[2] % 4 == 0
        assert src.shape[3] % 4 == 0
        return (src - bgr)[:, :1].abs(), src


def saved(module: torch.nn.Module, path: Path) -> tuple[Path, str]:
    torch.jit.script(module).save(path)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def image(red: int, height: int = 30, width: int = 50) -> np.ndarray:
    return np.full((height, width, 3), (red, 7, 9), np.uint8)


@pytest.mark.fault("4.8")
def test_a_share_of_nothing_leaves_nothing(tmp_path: Path) -> None:
    choice = Choice("torchscript", None, *saved(Recurrent(), tmp_path / "rvm.pt"))
    share = np.ones((30, 50), np.float32)
    share[:, :20] = 0
    alpha = start(choice)(image(100), share)
    assert not alpha[:, :20].any()
    assert (alpha[:, 20:] == 100).all()


def test_the_recurrent_state_is_kept_within_a_clip_and_not_beyond(tmp_path: Path) -> None:
    choice = Choice("torchscript", None, *saved(Recurrent(), tmp_path / "rvm.pt"))
    assert choice.recurrent
    for _ in range(2):
        clip = start(choice)
        alphas = [clip(image(100)) for _ in range(3)]
        assert [np.unique(alpha).tolist() for alpha in alphas] == [[100], [110], [120]]
        assert alphas[0].shape == (30, 50)
        assert alphas[0].dtype == np.uint8


def test_large_pictures_are_looked_at_as_the_authors_advise(tmp_path: Path) -> None:
    """At 2048 pixels the ratio is a quarter; the toy network adds what lacks to one to alpha."""
    choice = Choice("torchscript", None, *saved(Recurrent(), tmp_path / "rvm.pt"))
    assert np.unique(start(choice)(image(51, 8, 2048))).tolist() == [51 + 191]


def test_a_network_with_a_plate(tmp_path: Path) -> None:
    """Sides that are no multiple of four are padded and cut back."""
    path, digest = saved(Difference(), tmp_path / "bgm.pt")
    choice = Choice("torchscript", image(40, 30, 51), path, digest)
    alpha = start(choice)(image(100, 30, 51))
    assert alpha.shape == (30, 51)
    assert np.unique(alpha).tolist() == [60]
    with pytest.raises(UserError, match=r"bgm\.pt wants the empty scene: add plates"):
        start(Choice("torchscript", None, path, digest))


class Other(torch.nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


def test_files_that_are_not_such_a_network_are_refused(tmp_path: Path) -> None:
    path, digest = saved(Other(), tmp_path / "other.pt")
    with pytest.raises(UserError, match=r"other\.pt takes x: expected RobustVideoMatting"):
        start(Choice("torchscript", None, path, digest))
    with pytest.raises(UserError, match=f"sha256 {digest}, expected 00ff"):
        start(Choice("torchscript", None, path, "00ff"))
    text = tmp_path / "text.pt"
    text.write_text("no network")
    with pytest.raises(UserError, match=r"text\.pt is no TorchScript network"):
        start(
            Choice("torchscript", None, text, hashlib.sha256(b"no network").hexdigest()),
        )
    with pytest.raises(UserError, match=r"absent\.pt cannot be read"):
        start(Choice("torchscript", None, tmp_path / "absent.pt", digest))


def test_the_setting_names_file_and_checksum() -> None:
    for given in ({}, {"model": "a.pt"}, {"model_sha256": "00"}):
        with pytest.raises(UserError, match=r"settings: matte: .*model_sha256 must name"):
            settings.check(MatteSettings, {"backend": "torchscript", **given}, "matte")


def test_the_stage_runs_a_network(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", [90] * 3, width=64, height=48)
    ingest(tmp_path / "a.mp4", tmp_path / "ingest")
    path, digest = saved(Recurrent(), tmp_path / "rvm.pt")
    asked = MatteSettings(backend="torchscript", model=str(path), model_sha256=digest)
    quality = matte(tmp_path / "ingest", tmp_path / "matte", settings=asked)
    assert quality.metrics["backends"] == {"0": "torchscript"}
    assert abs(quality.metrics["mean_coverage"] * 255 - 100) < 12
    asked.model_sha256 = "0" * 64
    with pytest.raises(UserError, match="expected 0000"):
        matte(tmp_path / "ingest", tmp_path / "matte", settings=asked)


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match="onnxruntime is not installed: pip install"):
        start(Choice("onnx", None, tmp_path / "a.onnx", "00"))


def _onnx(path: Path, recurrent: bool) -> tuple[Path, str]:
    """The toy networks above as ONNX files."""
    onnx = pytest.importorskip("onnx", reason="makes the test's network")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT

    def value(name: str, shape: list[int | str | None]) -> object:
        return helper.make_tensor_value_info(name, floats, shape)

    def constant(name: str, numbers: list[float]) -> object:
        return helper.make_tensor(name, floats, [len(numbers)], numbers)

    source = [1, 3, "H", "W"]
    if recurrent:
        states = [value(f"r{k}i", [1, None, None, None]) for k in range(1, 5)]
        inputs = [value("src", source), *states, value("downsample_ratio", [1])]
        outputs = [value("fgr", source), value("pha", [1, 1, "H", "W"])]
        outputs += [value(f"r{k}o", [1, None, None, None]) for k in range(1, 5)]
        nodes = [
            helper.make_node("ReduceMean", ["src"], ["mean"], axes=[1], keepdims=1),
            helper.make_node("ReduceMean", ["r1i"], ["seen"], keepdims=1),
            helper.make_node("Mul", ["seen", "step"], ["more"]),
            helper.make_node("Add", ["mean", "more"], ["pha"]),
            helper.make_node("Identity", ["src"], ["fgr"]),
            helper.make_node("Add", ["r1i", "one"], ["r1o"]),
            *(helper.make_node("Identity", [f"r{k}i"], [f"r{k}o"]) for k in (2, 3, 4)),
        ]
        constants = [constant("one", [1.0]), constant("step", [10 / 255])]
    else:
        inputs = [value("src", source), value("bgr", source)]
        outputs = [value("pha", [1, 1, "H", "W"])]
        nodes = [
            helper.make_node("Sub", ["src", "bgr"], ["difference"]),
            helper.make_node("Abs", ["difference"], ["positive"]),
            helper.make_node("ReduceMax", ["positive"], ["pha"], axes=[1], keepdims=1),
        ]
        constants = []
    graph = helper.make_graph(nodes, "toy", inputs, outputs, constants)
    opset = [helper.make_opsetid("", 13)]
    path.write_bytes(
        helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    )
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_onnx_networks(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="optional")
    grey = np.full((30, 50, 3), 90, np.uint8)
    recurrent = Choice("onnx", None, *_onnx(tmp_path / "rvm.onnx", True))
    for _ in range(2):
        clip = start(recurrent)
        assert [np.unique(clip(grey)).tolist() for _ in range(3)] == [[90], [100], [110]]
    path, digest = _onnx(tmp_path / "bgm.onnx", False)
    assert np.unique(start(Choice("onnx", grey // 3, path, digest))(grey)).tolist() == [60]
    text = tmp_path / "text.onnx"
    text.write_text("no network")
    with pytest.raises(UserError, match="is no ONNX network"):
        start(Choice("onnx", None, text, hashlib.sha256(b"no network").hexdigest()))
