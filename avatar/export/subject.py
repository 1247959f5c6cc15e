"""What is exported: a trained avatar with its rig, and whether the rig may be passed on."""

from dataclasses import dataclass
from pathlib import Path

from avatar.base import names
from avatar.base.errors import UserError
from avatar.gaussians.avatar_file import GAUSSIANS, PARAMS, Avatar, load_avatar
from avatar.rig import HeadRig, RigParams


@dataclass(frozen=True)
class Subject:
    """A trained avatar, its rig, and the subject's folder of results."""

    home: Path
    rig: HeadRig
    avatar: Avatar

    @classmethod
    def load(
        cls, name: str, results: Path, rig: Path | None = None, checkpoint: bool = False
    ) -> "Subject":
        """Read the avatar of `results/<name>`.

        Args:
            rig: the rig's npz file; that of the avatar in `results/rigs/` if None.
            checkpoint: take the avatar of the last checkpoint of an unfinished training.
        Raises:
            UserError: a file is absent, damaged, of another avatar or of another rig.
        """
        home = results / names.check_name(name, "subject")
        folder = last_checkpoint(home) if checkpoint else home / "avatar"
        if rig is None:
            of = RigParams.load(folder / PARAMS, "train the subject first").rig
            rig = results / "rigs" / f"{names.check_name(of, 'rig')}.npz"
        loaded = HeadRig.load(rig)
        return cls(home, loaded, load_avatar(folder, loaded))

    def check_timestep(self, timestep: int) -> int:
        """The same number, where the avatar has that timestep.

        Raises:
            UserError: it does not.
        """
        last = len(self.avatar.params) - 1
        if not 0 <= timestep <= last:
            raise UserError(f"timestep {timestep}: {self.home.name} has 0..{last}: give another")
        return timestep

    def check_licence(self, include: bool, what: str) -> None:
        """Refuse to write a rig that was made from somebody's file, unless told to.

        Args:
            include: the user has seen to the licence.
            what: the kind of file, for the message.
        Raises:
            UserError: the rig is licensed, and `include` is False.
        """
        if self.rig.source_sha256 and not include:
            raise UserError(
                f"{what} contains data of the rig {self.rig.name!r}, which has a licence of its "
                "own: give --include-licensed-rig if it permits you to pass them on"
            )


def last_checkpoint(home: Path) -> Path:
    """The folder with the avatar of the last checkpoint of a subject's trainings.

    Raises:
        UserError: there is none.
    """
    found = home.glob(f"checkpoints/*/avatar/{GAUSSIANS}")
    newest = max(found, key=lambda path: path.stat().st_mtime, default=None)
    if newest is None:
        raise UserError(
            f"{home}/checkpoints has no checkpoint with an avatar: wait for one "
            "(train.checkpoint_minutes), or leave --checkpoint out if the training is finished"
        )
    return newest.parent
