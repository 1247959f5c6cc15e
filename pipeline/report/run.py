"""Write the report of a subject: results/<subject>/ -> results/<subject>/report.html.

Also its thumbnail for `results/index.html`.
"""

from pathlib import Path

from avatar.animate.loaded import HeadAvatar
from avatar.base import files
from avatar.base.errors import UserError
from avatar.data.dataset import Dataset
from avatar.export.subject import Subject
from pipeline.evaluate import index
from pipeline.evaluate.run import check_origin
from pipeline.report.page import page
from pipeline.report.pictures import show_frames
from pipeline.report.record import read_record

NAME = "report.html"
LIMIT = 8_000_000  # bytes


def write_report(subject: str, results: Path, rig: Path | None = None) -> Path:
    """Write `results/<subject>/report.html` and return its path.

    Args:
        rig: the rig's npz file; that of the avatar in `results/rigs/` if None.
    Raises:
        UserError: the subject has no avatar or is not evaluated, or a file is damaged or of
            another avatar. The former report stays.
    """
    loaded = Subject.load(subject, results, rig)
    home, avatar = loaded.home, loaded.avatar
    with Dataset(home / "dataset.h5") as dataset:
        check_origin(avatar.about, dataset, home / "avatar")
        record = read_record(home, dataset)
        background = record.summary.get("background")
        if not isinstance(background, int | float) or not 0 <= background <= 1:
            raise UserError(
                f"{home}/eval/summary.json has no background: evaluate the subject again"
            )
        shown = show_frames(record.metrics, avatar, loaded.rig, dataset, background)
    text = page(record, shown)
    assert len(text.encode()) < LIMIT
    still = HeadAvatar(loaded.rig, avatar)
    index.save_picture(home / index.PICTURE, still.render(still.pose(), index.SIZE)[0])
    files.write_text(home / NAME, text)
    return home / NAME
