import pytest

from pipeline.capture.clutter import is_clutter


@pytest.mark.fault("H11")
@pytest.mark.parametrize(
    "name",
    [
        ".DS_Store",
        "@eaDir",
        "Thumbs.db",
        "desktop.ini",
        "__MACOSX",
        "README",
        "Readme.md",
        "anna.mp4.part",
        "a.crdownload",
        "notes.txt",
        "anna.srt",
        "#anna.mp4#",
        "cam_0.mp4~",
    ],
)
def test_what_other_programs_leave(name: str) -> None:
    assert is_clutter(name)


@pytest.mark.parametrize(
    "name", ["anna.mp4", "cam_0", "cameras.json", "params.npz", "000000.png", "talk", "plates"]
)
def test_what_belongs_to_a_capture(name: str) -> None:
    assert not is_clutter(name)
