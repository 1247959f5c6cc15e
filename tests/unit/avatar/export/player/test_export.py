import copy
import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from avatar.base.errors import UserError
from avatar.export import __main__ as command
from avatar.export.player.contents import player_block
from avatar.export.player.export import export_player, quantisation_psnr
from avatar.export.subject import Subject
from avatar.gaussians.avatar_file import Avatar
from avatar.rig import HeadRig
from tests.players import full_avatar, full_rig
from tests.unit.avatar.export.subjects import save_subject


@pytest.fixture(scope="module")
def rig() -> HeadRig:
    return full_rig()


@pytest.fixture(scope="module")
def avatar(rig: HeadRig) -> Avatar:
    return full_avatar(rig)


def test_the_command_writes_one_file_and_names_it(
    rig: HeadRig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_subject(tmp_path, rig)
    assert command.main(["player", "toy", "--results", str(tmp_path)]) == 0
    path = tmp_path / "toy/export/toy.html"
    assert capsys.readouterr().out == f"{path}\n"
    assert [entry.name for entry in path.parent.iterdir()] == ["toy.html"]
    assert "<title>toy – headsplat</title>" in path.read_text(encoding="utf-8")


def test_the_loss_is_reported(
    rig: HeadRig, avatar: Avatar, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        export_player(Subject(tmp_path / "anna", rig, avatar), False)
    assert "dB (PSNR)" in caplog.text


def test_the_loss_is_of_what_the_block_holds(rig: HeadRig, avatar: Avatar) -> None:
    fine = quantisation_psnr(avatar, rig, player_block(avatar, rig, "anna"))
    other = replace(avatar.gaussians, sh_dc=avatar.gaussians.sh_dc + 0.2)
    block = player_block(replace(avatar, gaussians=other), rig, "anna")
    assert 40 < fine < 100
    assert quantisation_psnr(avatar, rig, block) < 30


def test_a_licensed_rig_is_refused_unless_asked_for(
    rig: HeadRig, avatar: Avatar, tmp_path: Path
) -> None:
    licensed = copy.copy(rig)
    licensed.source_sha256 = "0" * 64
    subject = Subject(tmp_path / "anna", licensed, avatar)
    with pytest.raises(UserError, match="--include-licensed-rig"):
        export_player(subject, False)
    assert not (tmp_path / "anna").exists()
    assert export_player(subject, True).is_file()


def test_fifty_thousand_gaussians_stay_below_25_megabytes(rig: HeadRig, avatar: Avatar) -> None:
    """At the highest degree and with a basis of 16, beside a rig of FLAME's size: 6 MB."""
    each = player_block(avatar, rig, "anna")
    twice = replace(
        avatar.gaussians,
        **{k: torch.cat([v, v]) for k, v in avatar.gaussians.tensors().items()},
    )
    per_gaussian = (
        len(player_block(replace(avatar, gaussians=twice), rig, "anna")) - len(each)
    ) / (int((avatar.gaussians.opacity_logits.sigmoid() >= 1 / 255).sum()))
    larger_basis = 6 * (16 - 3)  # bytes
    assert (per_gaussian + larger_basis) * 50_000 + 6e6 < 25e6 * 3 / 4  # base64
