from types import SimpleNamespace

from benchmarks.faults import FAULTS, Collector, table


def collected() -> Collector:
    """H1 has two cases of one test, H2 shares its test with 4.1."""
    collector = Collector()
    collector.ids = {"a.py::one[x]": ["H1"], "a.py::one[y]": ["H1"], "b.py::C::two": ["H2", "4.1"]}
    for node, when, outcome in (
        ("a.py::one[x]", "setup", "passed"),
        ("a.py::one[x]", "call", "passed"),
        ("a.py::one[y]", "call", "passed"),
        ("a.py::one[y]", "teardown", "failed"),
        ("b.py::C::two", "setup", "skipped"),
    ):
        collector.pytest_runtest_logreport(
            SimpleNamespace(nodeid=node, when=when, outcome=outcome, failed=outcome == "failed")
        )
    return collector


def test_outcomes_by_id() -> None:
    assert collected().by_id() == {
        "H1": {"a.py::one": ["passed", "failed"]},
        "H2": {"b.py::C::two": ["skipped"]},
        "4.1": {"b.py::C::two": ["skipped"]},
    }


def test_rows_by_hand() -> None:
    lines = table(collected().by_id()).splitlines()
    assert lines[2].endswith("| `a.py`: `one` | failed, passed |")
    assert lines[3].endswith("| `b.py`: `C.two` | skipped |")
    assert lines[4].endswith("| **no test** |  |")
    assert len(lines) == 2 + len(FAULTS)
