"""Identity and static offsets as unknowns: none without a rate, smooth changes with one."""

import torch

from avatar.data.dataset import Dataset
from avatar.rig import HeadRig
from avatar.train.identity import Identity
from avatar.train.presets import QUICK, RigTuning, override
from avatar.train.trainer import Trainer
from tests.scenes import moving_params


def test_what_has_no_rate_is_no_unknown(rig: HeadRig) -> None:
    params = moving_params(rig, 6)
    assert Identity(rig, params, RigTuning()).leaves == {}
    assert Identity(rig, params, RigTuning()).of(params) == {}
    only = Identity(rig, params, RigTuning(shape=0.1))
    assert list(only.of(params)) == ["shape"]


def test_changes_are_added_to_what_was_given_and_are_smooth(rig: HeadRig) -> None:
    params = moving_params(rig, 6)
    identity = Identity(rig, params, RigTuning(shape=0.1, static_offset=0.1))
    identity.leaves["shape"][0] = 2.0
    identity.leaves["static_offset"][5, 1] = 1.0
    changed = identity.of(params)
    assert float(changed["shape"][0]) == float(params.shape[0]) + 2.0
    change = changed["static_offset"] - params.static_offset
    assert int(change[:, 1].argmax()) == 5
    assert 0 < float(change[5, 1]) < 0.5  # its neighbours share it
    assert not change[:, [0, 2]].any()


def test_training_moves_them_and_a_checkpoint_restores_them(scene, rig: HeadRig) -> None:
    preset = override(QUICK, {"images": 16, "rig": {"shape": 0.01, "static_offset": 1e-4}})
    with Dataset(scene) as dataset:
        trainer, other = (Trainer(dataset, dataset.params, rig, preset) for _ in range(2))
        steps = trainer.steps()
        next(steps), next(steps)
        other.restore(trainer.snapshot())
        tuned, restored = trainer.tuned_params(), other.tuned_params()
        for name in ("shape", "static_offset"):
            moved = getattr(tuned, name) - getattr(dataset.params, name)
            assert bool(moved.any()), name
            assert torch.equal(getattr(tuned, name), getattr(restored, name)), name
        for _ in range(2):
            next(steps)
        more = other.steps()
        next(more), next(more)
        assert torch.equal(trainer.tuned_params().shape, other.tuned_params().shape)
