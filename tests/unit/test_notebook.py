"""The notebook docs/avatar.ipynb runs, on a toy subject."""

from pathlib import Path

import gsply
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from avatar.gaussians.avatar_file import save_avatar
from tests.players import full_avatar, full_rig

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs/avatar.ipynb"


@pytest.fixture
def notebook() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_the_notebook_is_committed_without_outputs(notebook: nbformat.NotebookNode) -> None:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) >= 5
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


def test_the_code_of_the_notebook(
    notebook: nbformat.NotebookNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, rig = tmp_path / "results/anna", full_rig(actions=True)
    avatar = full_avatar(rig)
    rig.save(tmp_path / "results/rigs/toy.npz")
    (home / "avatar").mkdir(parents=True)
    save_avatar(home / "avatar", avatar)
    (tmp_path / "docs").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    run = NotebookClient(
        notebook, timeout=120, kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path / "docs")}},
    ).execute()  # fmt: skip

    shown = [
        output.data["image/png"]
        for cell in run.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(shown) == len(set(shown)) == 2, "poses, and the same pose from three sides"
    with Image.open(home / "export/motion.webp") as film:
        assert film.size == (256, 256)
        assert film.n_frames > 1
    means = avatar.pose(rig, 0)[1].means.detach().numpy()
    assert np.allclose(gsply.plyread(home / "export/anna_000000.ply").means, means, atol=2e-6)
    assert (home / "export/anna.html").stat().st_size > 100_000
