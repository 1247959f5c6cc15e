"""The player in a real browser: `make test-browser`. WebGL2 is drawn in software."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.export.player.contents import player_block
from avatar.export.player.page import page
from avatar.gaussians.avatar_file import Avatar
from avatar.render import Views, render
from avatar.rig import HeadRig
from tests.browser.chromium import Page, find
from tests.browser.pictures import rendered
from tests.players import full_avatar, full_rig
from tests.scenes import ring_of_cameras

pytestmark = pytest.mark.skipif(find() is None, reason="needs Chromium: apt-get install chromium")

NAME = '</title><img src=x onerror="globalThis.harm = 1">anna'
SIZE = 128
PICTURE = (300, 300)  # a place of the window that the picture covers


@pytest.fixture(scope="module")
def rig() -> HeadRig:
    return full_rig(actions=True)


@pytest.fixture(scope="module")
def avatar(rig: HeadRig) -> Avatar:
    return full_avatar(rig)


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory, rig: HeadRig, avatar: Avatar) -> Path:
    path = tmp_path_factory.mktemp("player") / "anna.html"
    path.write_text(page(player_block(avatar, rig, NAME), NAME), encoding="utf-8")
    return path


@pytest.fixture
def tab(browser: Page, html: Path) -> Iterator[Page]:
    """The player at rest. Afterwards: it reported nothing and asked for nothing."""
    browser.problems.clear()
    browser.requests.clear()
    browser.resize(900, 600)
    browser.open(html)
    browser.key("n")
    settle(browser)
    yield browser
    assert browser.problems == []
    assert [
        url for url in browser.requests if not url.startswith(("about:", "blob:", "data:"))
    ] == [html.as_uri()]


def settle(tab: Page) -> None:
    """Wait until what was asked for is drawn."""
    tab.wait_for("!headsplat.requested && !headsplat.moved && !headsplat.turned")


def seen(tab: Page) -> bytes:
    """The picture as it is now: drawn and read in one task, before the browser clears it."""
    settle(tab)
    data = tab.evaluate("headsplat.draw(performance.now()), headsplat.elements.picture.toDataURL()")
    return base64.b64decode(data.split(",")[1])


def test_ten_poses_look_as_the_cpu_renderer_draws_them(
    tab: Page, avatar: Avatar, rig: HeadRig
) -> None:
    cameras = ring_of_cameras(1, SIZE)
    values = (torch.tensor(v, dtype=torch.float32) for v in (cameras.viewmats, cameras.Ks))
    views = Views(*values, SIZE, SIZE)
    found = []
    for timestep in range(10):
        expected = render(avatar.pose(rig, timestep)[1], views, torch.ones(3)).rgb[0]
        error = (rendered(tab, timestep, views) - expected.clamp(0, 1).numpy()) ** 2
        found.append(float(-10 * np.log10(error.mean())))
    print(f"\nten poses in the browser against the CPU: lowest PSNR {min(found):.1f} dB")
    assert min(found) > 35


def test_the_rig_moves_as_in_python(tab: Page, avatar: Avatar, rig: HeadRig) -> None:
    shifts = avatar.params.neck_shift
    assert float(shifts.abs().max()) > 0
    for timestep in range(10):
        expected = avatar.pose(rig, timestep)[0].flatten().numpy()
        script = f"[...headsplat.rig.evaluate(headsplat.recording.pose({timestep}))]"
        assert np.abs(np.array(tab.evaluate(script)) - expected).max() < 2e-5  # m


def test_a_slider_changes_the_picture_and_stops_the_motion(tab: Page) -> None:
    before = seen(tab)
    tab.key(" ")
    tab.evaluate(
        "const slider = document.querySelector('#sliders input'); slider.value = 20;"
        "slider.dispatchEvent(new Event('input'))"
    )
    assert tab.evaluate("headsplat.elements.play.textContent") == "Play"
    assert tab.evaluate("headsplat.pose.neck_pose[0]") == pytest.approx(np.radians(20))
    assert seen(tab) != before


def test_every_slider_changes_the_picture(tab: Page) -> None:
    still = seen(tab)
    for place in range(tab.evaluate("headsplat.panel.rows.length")):
        tab.evaluate(
            f"globalThis.moved = headsplat.panel.rows[{place}].input; moved.value = moved.max;"
            "moved.dispatchEvent(new Event('input'))"
        )
        assert seen(tab) != still, tab.evaluate(f"headsplat.panel.rows[{place}].control.label")
        tab.key("n")
        assert seen(tab) == still


def test_every_slider_has_a_name_and_every_expression_a_slider(tab: Page) -> None:
    names = tab.evaluate(
        "[...document.querySelectorAll('#sliders input')].map(i => i.labels[0].textContent)"
    )
    assert len(names) == 7 + 4
    assert {"Mouth smile left", "Eye blink left", "Gaze up and down", "Jaw open"} <= set(names)


@pytest.mark.parametrize("key", ["+", "-", "."])
def test_a_key_changes_the_picture(tab: Page, key: str) -> None:
    before = seen(tab)
    tab.key(key)
    assert seen(tab) != before


def test_arrows_turn_the_picture_that_has_the_focus_and_r_turns_it_back(tab: Page) -> None:
    before = seen(tab)
    tab.evaluate("headsplat.elements.picture.focus()")
    tab.key("ArrowLeft")
    assert seen(tab) != before
    tab.key("r")
    assert seen(tab) == before


def test_space_plays_and_pauses(tab: Page) -> None:
    tab.key(" ")
    tab.wait_for("headsplat.step > 0 && headsplat.playing")
    tab.key(" ")
    assert not tab.evaluate("headsplat.playing")


def test_the_time_bar_changes_the_picture_and_the_place(tab: Page) -> None:
    before = seen(tab)
    tab.evaluate("const { time } = headsplat.elements; time.value = 5;")
    tab.evaluate("headsplat.elements.time.dispatchEvent(new Event('input'))")
    assert seen(tab) != before
    assert tab.evaluate("headsplat.elements.place.textContent") == "b · 0.20 s"
    assert re.fullmatch(r"\d+ fps", tab.evaluate("headsplat.elements.rate.textContent"))


def test_nothing_plays_where_the_system_asks_for_reduced_motion(tab: Page, html: Path) -> None:
    reduced = {"name": "prefers-reduced-motion", "value": "reduce"}
    for features, playing in (([reduced], False), ([], True)):
        tab.send("Emulation.setEmulatedMedia", features=features)
        tab.open(html)
        assert tab.evaluate("headsplat.playing") == playing
    tab.requests.remove(html.as_uri())
    tab.requests.remove(html.as_uri())


def test_a_slow_motion_is_drawn_with_fewer_pixels_until_it_stops(tab: Page) -> None:
    whole = tab.evaluate("headsplat.elements.picture.width")
    tab.evaluate("headsplat.adapt(headsplat.clip.seconds * 1000)")
    assert tab.evaluate("headsplat.elements.picture.width") == whole
    tab.evaluate("headsplat.adapt(500)")
    assert 0.7 * whole < tab.evaluate("headsplat.elements.picture.width") < 0.9 * whole
    tab.evaluate("headsplat.play(false)")
    assert tab.evaluate("headsplat.elements.picture.width") == whole


def test_the_mouse_turns_moves_and_zooms(tab: Page) -> None:
    x, y = PICTURE
    before = [seen(tab)]
    tab.drag((x, y), (x + 40, y + 20))
    before.append(seen(tab))
    yaw, pitch = tab.evaluate("[headsplat.orbit.yaw, headsplat.orbit.pitch]")
    assert (yaw, pitch) == pytest.approx((40 * 0.008, -20 * 0.008))
    tab.drag((x, y), (x + 40, y), modifiers=8)
    before.append(seen(tab))
    tab.drag((x, y), (x, y + 40), button="right")
    before.append(seen(tab))
    assert tab.evaluate("headsplat.orbit.yaw") == yaw
    tab.wheel(x, y, -100)
    tab.wait_for("headsplat.orbit.zoom < 1")
    assert len({*before, seen(tab)}) == 5, "each changes the picture"
    tab.evaluate("headsplat.elements.view.click()")
    assert seen(tab) == before[0]


def test_one_finger_turns_and_two_zoom(tab: Page) -> None:
    x, y = PICTURE
    before = seen(tab)
    tab.touch([(x, y)], [(x + 40, y)])
    assert tab.evaluate("headsplat.orbit.yaw") != 0
    turned = seen(tab)
    assert turned != before
    tab.touch([(x, y), (x + 20, y)], [(x - 40, y), (x + 20, y)], [(x - 40, y), (x + 80, y)])
    assert tab.evaluate("headsplat.orbit.zoom") < 0.6
    assert seen(tab) != turned


def test_a_dropped_csv_is_played(tab: Page, tmp_path: Path) -> None:
    motion = tmp_path / "<i>live_link.csv"
    rows = "".join(f"00:00:01:0{i}.5,4,0.5,0.{i},{0.1 * i},0.2,0\n" for i in range(5))
    header = "Timecode,BlendShapeCount,EyeBlinkLeft,JawOpen,HeadYaw,HeadPitch,LeftEyeYaw\n"
    motion.write_text(header + rows)
    before = seen(tab)
    tab.drop(motion, *PICTURE)
    tab.wait_for("headsplat.clip.name === '<i>live_link.csv'")
    tab.evaluate("headsplat.play(false); headsplat.seek(4)")
    assert tab.evaluate("headsplat.clip.seconds") == pytest.approx(1 / 30)
    assert tab.evaluate("headsplat.pose.expr[0]") == 0.5
    assert tab.evaluate("headsplat.pose.jaw_pose[0]") == pytest.approx(0.4 * 0.361)
    assert seen(tab) != before


def test_a_chosen_file_is_played(tab: Page, tmp_path: Path) -> None:
    (tmp_path / "smile.csv").write_text("MouthPucker\n0\n1\n")
    tab.choose("headsplat.elements.motion", tmp_path / "smile.csv")
    tab.wait_for("headsplat.clip.name === 'smile.csv'")
    assert tab.evaluate("headsplat.elements.status.textContent") == "Playing smile.csv: 2 rows."


def test_a_dropped_json_is_played_at_its_rate(tab: Page, tmp_path: Path) -> None:
    motion = tmp_path / "speech.json"
    frames = [{"weights": [0.1 * i, 0.5], "time": i / 30, "rotation": []} for i in range(4)]
    motion.write_text(json.dumps({"names": ["jawOpen", "mouthPucker"], "frames": frames}))
    tab.drop(motion, *PICTURE)
    tab.wait_for("headsplat.clip.name === 'speech.json'")
    assert tab.evaluate("headsplat.clip.seconds") == pytest.approx(1 / 30)
    tab.evaluate("headsplat.elements.recorded.click()")
    assert tab.evaluate("headsplat.clip === headsplat.recording")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("earWiggle\n1\n", "earWiggle"),
        ("JawOpen\nnan\n", "Row 1"),
        ("JawOpen,MouthPucker\n1\n", "Row 1"),
        ("JawOpen\n", "no rows"),
        ("", "no rows"),
    ],
)
def test_a_file_that_is_no_motion_is_refused_in_words(
    tab: Page, tmp_path: Path, text: str, words: str
) -> None:
    motion = tmp_path / "<b>bad.csv"
    motion.write_text(text)
    tab.drop(motion, *PICTURE)
    tab.wait_for("headsplat.elements.status.textContent !== ''")
    status = tab.evaluate("headsplat.elements.status.textContent")
    assert status.startswith("<b>bad.csv was not read.")
    assert words in status
    assert tab.evaluate("headsplat.clip === headsplat.recording")


def test_the_screenshot_is_a_png_of_the_picture(tab: Page) -> None:
    tab.evaluate(
        "HTMLAnchorElement.prototype.click = function () { globalThis.saved = this.download }"
    )
    tab.key("s")
    tab.wait_for("!!globalThis.saved")
    tab.evaluate("globalThis.saved = undefined; headsplat.elements.shot.click()")
    tab.wait_for("!!globalThis.saved")
    assert tab.evaluate("saved") == f"{NAME}.png"


def test_the_name_is_text(tab: Page) -> None:
    assert tab.evaluate("document.querySelector('h1').textContent") == NAME
    assert tab.evaluate("document.title") == f"{NAME} – headsplat"
    assert tab.evaluate("document.images.length") == 0
    assert tab.evaluate("typeof harm") == "undefined"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", [(390, 844), (1280, 800)])
def test_a_phone_and_a_desktop_show_the_picture_and_nothing_is_wider(
    tab: Page, size: tuple[int, int], dark: bool
) -> None:
    tab.resize(*size, dark)
    settle(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") == size[0]
    assert tab.evaluate("headsplat.elements.picture.clientHeight") > 300
    back = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (back == "rgb(20, 23, 29)") == dark
