import pytest
import torch

from pipeline.doctor import gpu

NO_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")


@pytest.mark.parametrize("name", ["reference", "cpu"])
def test_a_renderer_is_compared_with_the_reference(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert gpu.backend(name).status == "ok"
    monkeypatch.setattr(gpu, "IMAGE_LIMIT", 0.0)
    assert gpu.backend(name).status == "fail"
    assert "off the reference" in gpu.backend(name).detail


@NO_CUDA
def test_why_there_is_no_gpu() -> None:
    findings = {finding.what: finding for finding in gpu.examine()}
    assert {name: f.status for name, f in findings.items() if name != "nvcc"} == {
        "cuda": "fail",
        "backend reference": "ok",
        "backend cpu": "ok",
        "backend gsplat": "fail",
        "cpu kernels": "ok",
    }
    reason = "is built without CUDA" if torch.version.cuda is None else "sees no CUDA device"
    assert reason in findings["cuda"].detail
    assert reason in findings["backend gsplat"].detail


@pytest.mark.gpu
def test_gpu_works() -> None:
    findings = {finding.what: finding for finding in gpu.examine()}
    assert torch.cuda.get_device_name() in findings["cuda"].detail
    assert findings["backend gsplat"].status == "ok", findings["backend gsplat"].detail
