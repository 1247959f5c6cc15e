from pathlib import Path

from benchmarks import architecture

GRAPH = {"p.a": {"p.b", "p.c"}, "p.b": {"p.c"}, "p.c": set()}


def test_edges_that_others_imply_are_left_out() -> None:
    assert architecture.reduced(GRAPH) == {"p.a": {"p.b"}, "p.b": {"p.c"}, "p.c": set()}
    drawn = architecture.diagram(GRAPH, "p").splitlines()
    assert drawn == ["```mermaid", "graph TD", "  a --> b", "  b --> c", "```"]


def test_a_circle_is_found() -> None:
    assert architecture.circle(GRAPH) == []
    loop = architecture.circle(GRAPH | {"p.c": {"p.b"}})
    assert {"p.b", "p.c"} == set(loop)


def test_tree_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "p/q").mkdir(parents=True)
    (tmp_path / "p/__init__.py").write_text('"""The package.\n\nMore."""\n')
    (tmp_path / "p/one.py").touch()
    (tmp_path / "p/q/two.py").touch()
    (tmp_path / "p/empty").mkdir()
    assert list(architecture.tree(tmp_path / "p")) == [
        "p/               The package.", "    one", "  q/", "      two"
    ]  # fmt: skip


def test_the_graph_is_that_of_the_source() -> None:
    graph = architecture.packages()
    assert "avatar.render" in graph["avatar.losses"] | graph["avatar.train"]
    assert not any(name.startswith("pipeline") for name in graph["avatar.data"])
