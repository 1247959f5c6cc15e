from pathlib import Path

import av
import numpy as np
import pytest

from avatar.base.errors import UserError
from pipeline import media
from tests.media_files import grey_frames, real_clip


def write_audio(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 800), np.int16), format="s16", layout="mono"
        )
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.mp4", None, "does not exist"),
        ("empty.mp4", b"", r"is empty \(0 bytes\)"),
        ("text.mp4", b"This is not a video.\n" * 200, "is not a video"),
        ("list.mp4", b"#EXTM3U\n#EXTINF:1,\n{good}\n#EXT-X-ENDLIST\n", "is not a video"),
        ("concat.mp4", b"ffconcat version 1.0\nfile '{good}'\n", "is not a video"),
    ],
)
def test_what_is_no_video_is_refused_by_name(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    good = tmp_path / "good.mp4"
    media.write_video(good, grey_frames([50]), 25)
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content.replace(b"{good}", str(good).encode()))
    for look in (media.probe, media.frame_times, lambda p: list(media.read_video(p))):
        with pytest.raises(UserError, match=message) as caught:
            look(path)
        assert str(path) in str(caught.value)


def test_audio_and_folders_are_refused(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav")
    with pytest.raises(UserError, match="holds no video stream"):
        media.frame_times(tmp_path / "a.wav")
    with pytest.raises(UserError, match="is not a plain file"):
        media.frame_times(tmp_path)
    with pytest.raises(UserError, match="holds no video stream"):
        media.frame_times(real_clip("hard_clips/audio_only.mp3"))


@pytest.mark.parametrize(
    "name", ["a;touch X.mp4", "-i.mp4", "a b'\"$(x).mp4", "http:x.mp4", "ü.mp4"]
)
def test_odd_file_names_are_only_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    media.write_video(name, grey_frames([50, 60]), 25)
    assert len(list(media.read_video(name))) == 2
    assert [p.name for p in tmp_path.iterdir()] == [name]
