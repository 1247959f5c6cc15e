"""Paths, links and test names that the documentation mentions exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TESTS = sorted(ROOT.glob("tests/**/test_*.py"))
# What a run makes is not in the repository.
MADE = ("results/", "captures/")


def anchors(page: Path) -> set[str]:
    """GitHub's anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_source_files_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:avatar|pipeline|tests|workflow|config|profiles)/[\w/.]+)`", text):
        assert name.startswith(MADE) or (ROOT / name).exists() or name in AVATAR_FILES, name


# Of results/<subject>/avatar/, named without the folder before it.
AVATAR_FILES = {
    "avatar/avatar.safetensors", "avatar/rig_params.npz", "avatar/local_frame.ply",
    "avatar/flame_param.npz", "avatar/train_log.csv",
}  # fmt: skip


def test_tests_that_the_method_names_exist() -> None:
    text = (ROOT / "docs/method.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", text))
    source = "\n".join(path.read_text(encoding="utf-8") for path in TESTS)
    defined = set(re.findall(r"def (test_\w+)", source)) | {path.stem for path in TESTS}
    assert len(named) > 30
    assert named <= defined
