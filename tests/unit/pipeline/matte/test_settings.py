import pytest

from avatar.base import settings
from avatar.base.errors import UserError
from pipeline.matte.settings import MatteSettings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"backend": "mediapip"}', "backend"),
        ('{"workers": 2}', "workers"),
        ('{"backend": "onnx", "model": "m.onnx"}', "model_sha256"),
        ('{"model": ""}', "model"),
        ('{"size": 3}', "size"),
    ],
)
def test_bad_settings_are_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        settings.read(MatteSettings, text, stage="matte")
    assert "\n" not in str(caught.value)


def test_a_network_is_named_with_its_checksum() -> None:
    text = '{"backend": "torchscript", "model": "m.pt", "model_sha256": "00"}'
    assert settings.read(MatteSettings, text).model == "m.pt"
    assert settings.read(MatteSettings, "{}") == MatteSettings("auto", None, None)
