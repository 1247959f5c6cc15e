"""A run of training that somebody watches over a real websocket."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from avatar.data.dataset import Dataset
from avatar.rig import HeadRig
from avatar.train import watch as watch_module
from avatar.train.checkpoint import Checkpoints
from avatar.train.run import run
from avatar.train.trainer import Trainer
from avatar.train.watch import Watch
from tests.unit.avatar.train.runs import EVERYTHING, KEY, advance, assert_same, finished
from tests.viewers import Client, joined


@pytest.fixture
def trainer(scene: Path, rig: HeadRig) -> Iterator[Trainer]:
    with Dataset(scene) as dataset:
        yield Trainer(dataset, dataset.params, rig, EVERYTHING)


@pytest.fixture
def watched(trainer: Trainer, rig: HeadRig) -> Iterator[Watch]:
    watch = Watch(trainer, rig, 0, "anna")
    yield watch
    watch.close()


def connect(watch: Watch) -> Client:
    assert watch.viewer is not None
    return joined(watch.viewer, watch._shown, (64, 48))


def go_on() -> bool:
    return False


def test_the_result_is_the_same_bit_for_bit(
    scene: Path, rig: HeadRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "REFRESH", 0.0)  # another picture after each step
    monkeypatch.setattr("avatar.viewer.viewer.SETTLED", 0.0)
    with Dataset(scene) as dataset:
        trainer = Trainer(dataset, dataset.params, rig, EVERYTHING)
        watch = Watch(trainer, rig, 0, "anna")
        client, pictures = connect(watch), []
        assert watch.viewer is not None
        render = watch.viewer._render
        monkeypatch.setattr(
            watch.viewer, "_render", lambda *given: (pictures.append(1), render(*given))
        )
        run(trainer, Checkpoints(tmp_path, KEY), 60, watch.step)
        client.close()
        watch.close()
        assert len(pictures) > trainer.step / 2
        assert_same(finished(dataset, rig, EVERYTHING), trainer)


def test_the_picture_and_the_text_follow_training(trainer: Trainer, watched: Watch) -> None:
    assert watched.viewer is not None
    client, text = connect(watched), watched.viewer.panel._text
    before = client.picture(lambda: watched.step(go_on)).astype(int)
    assert text.content.startswith(f"step 0 of {trainer.total_steps}\n\n")
    for _ in trainer.steps():
        pass
    watched._since = -1e9
    after = client.picture(lambda: watched.step(go_on)).astype(int)
    assert np.abs(after - before).max() > 20
    last = trainer.log.rows[-1]
    first = (
        f"step {trainer.step} of {trainer.total_steps}, loss {last.loss:.4f}, {last.psnr:.1f} dB"
    )
    assert text.content.startswith(first)
    assert f"{len(trainer.gaussians):,} Gaussians" in text.content


def test_nothing_is_rendered_for_nobody(watched: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "_refresh", lambda: pytest.fail("nobody looks"))
    monkeypatch.setattr(watched.viewer, "update", lambda *_: pytest.fail("nobody looks"))
    watched._since = -1e9
    watched.step(go_on)


def test_it_pauses_and_goes_on(trainer: Trainer, watched: Watch) -> None:
    assert watched.viewer is not None
    client, panel = connect(watched), watched.viewer.panel
    client.press(panel._pause)
    while not panel.paused:
        watched.viewer.wait(0.01)
    advance(trainer, 8)
    thread = threading.Thread(target=watched.step, args=(go_on,))
    thread.start()
    client.picture()
    assert thread.is_alive()
    assert panel._text.content.startswith("paused at step 2 of ")
    client.press(panel._pause)
    thread.join(10)
    assert not thread.is_alive()
    client.press(panel._pause)
    while not panel.paused:
        watched.viewer.wait(0.01)
    thread = threading.Thread(target=watched.step, args=(go_on,))
    thread.start()
    client.close()
    thread.join(10)
    assert not thread.is_alive(), "waits for somebody who has left"
    assert not panel.paused


def test_a_signal_ends_a_pause(watched: Watch) -> None:
    assert watched.viewer is not None
    client, panel = connect(watched), watched.viewer.panel
    panel._toggle_pause()
    watched.step(lambda: True)
    assert panel.paused
    client.close()


def test_training_survives_its_viewer(
    watched: Watch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connect(watched)

    def fail(*_: object) -> None:
        raise ValueError("broken\npicture")

    monkeypatch.setattr(watched.viewer, "_render", fail)
    with caplog.at_level(logging.WARNING):
        watched.step(go_on)
        watched.step(go_on)
    assert watched.viewer is None
    assert caplog.messages == ["the viewer failed, training goes on: broken picture"]
