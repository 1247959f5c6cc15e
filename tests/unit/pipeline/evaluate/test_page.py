"""What the tables show: which rows are compared, and which values are marked."""

from typing import Any

from pipeline.evaluate.measures import METRICS
from pipeline.evaluate.page import BEST, SECOND, Section, metrics_page, regions_page
from pipeline.evaluate.summaries import SPREADS, Failure


def _row(subject: str, **changed: Any) -> dict[str, Any]:
    made = dict.fromkeys(
        (
            "torso",
            "images",
            "seconds",
            "gaussians",
            "lpips_backbone",
            *METRICS,
            *SPREADS,
            "code_version",
            "torch_version",
            "dataset_sha256",
            "date",
        )
    )
    return made | {
        "subject": subject, "group": "", "rig": "anny", "preset": "quick", "overrides_hash": "",
        "background": 1.0, "state": "", "protocol": "novel_view", "region": "full", "n": 60,
        "psnr": 28.0, "ssim": 0.9, "flip": 0.1,
    } | changed  # fmt: skip


def _column(section: Section, name: str) -> list[tuple[str, str]]:
    k = list(section.header).index(name)
    return [tuple(row[k]) for row in section.rows]


def test_best_and_second_of_each_metric() -> None:
    rows = [
        _row("anna", psnr=28.0, ssim=0.9, flip=0.2),
        _row("bert", psnr=30.0, ssim=0.8, flip=0.1),
        _row("carl", psnr=29.0, ssim=0.7, flip=0.3),
    ]
    section = metrics_page(rows, [])[0]
    assert _column(section, "psnr") == [("28.00", ""), ("30.00", BEST), ("29.00", SECOND)]
    assert _column(section, "ssim") == [("0.900", BEST), ("0.800", SECOND), ("0.700", "")]
    assert _column(section, "flip") == [("0.200", SECOND), ("0.100", BEST), ("0.300", "")]
    assert _column(section, "n") == [("60", "")] * 3


def test_values_that_are_shown_alike_share_their_mark() -> None:
    rows = [_row(name, psnr=psnr) for name, psnr in zip("abcd", (28.001, 28, 27, 27), strict=True)]
    section = metrics_page(rows, [])[0]
    assert [mark for _, mark in _column(section, "psnr")] == [BEST, BEST, SECOND, SECOND]
    assert [mark for _, mark in _column(section, "ssim")] == [""] * 4  # all equal


def test_a_metric_that_was_not_measured_takes_no_part() -> None:
    rows = [_row("anna", lpips=0.1), _row("bert"), _row("carl", lpips=0.2)]
    for row, network in zip(rows, ("vgg", None, "vgg"), strict=True):
        row["lpips_backbone"] = network
    assert _column(metrics_page(rows, [])[0], "lpips") == [
        ("0.100", BEST), ("NA", ""), ("0.200", SECOND)
    ]  # fmt: skip
    rows[2]["lpips_backbone"] = "alex"
    assert {mark for _, mark in _column(metrics_page(rows, [])[0], "lpips")} == {""}


def test_the_spread_is_shown_with_the_digits_of_its_metric() -> None:
    row = _row("anna", psnr_std=1.234, psnr_lo=27.5, psnr_hi=28.456, psnr_n=60.0)
    section = next(s for s in metrics_page([row], []) if s.title == "Spread over frames")
    assert _column(section, "psnr") == [("1.23, 27.50 to 28.46, 60", "")]
    assert _column(section, "lpips") == [("NA", "")]


def test_only_comparable_rows_are_compared() -> None:
    rows = [
        _row("anna"),
        _row("anna", protocol="self_reenactment", psnr=31.0),
        _row("bert", group="g", psnr=32.0),
        _row("carl", background=0.0, psnr=33.0),
    ]
    assert {mark for _, mark in _column(metrics_page(rows, [])[0], "psnr")} == {""}
    of_regions = [_row("anna"), _row("bert", region="mask", psnr=20.0)]
    assert {mark for _, mark in _column(regions_page(of_regions)[0], "psnr")} == {""}


def test_avatars_without_torso_are_told_apart() -> None:
    rows = [_row(name, torso=torso, group="g") for name, torso in (("anna", True), ("bert", False))]
    rows[1] |= {"overrides_hash": "1a2b", "psnr": 30.0}
    published = dict.fromkeys(METRICS) | {"method": "m", "protocol": "novel_view"}
    published |= {"dataset": "g", "source": "s", "lpips_backbone": None}
    page = {section.title: section for section in metrics_page(rows, [], [published])}
    presets = ["quick", "quick+1a2b, no torso"]
    assert [text for text, _ in _column(page["Metrics"], "preset")] == presets
    assert {mark for _, mark in _column(page["Metrics"], "psnr")} == {""}
    assert [text for text, _ in _column(page["Settings"], "torso")] == ["yes", "no"]
    methods = [text for text, _ in _column(page["Beside published figures"], "method")]
    assert methods == ["m", *(f"headsplat, preset {preset}" for preset in presets)]


def test_reenactments_are_compared_by_driver_and_apart_from_renders() -> None:
    scores = {"jaw": 0.9, "blink": 0.8, "identity": 2.0, "identity_driver": 5.26}
    scores |= {"lids": 20.0, "lids_driver": None, "protocol": "cross_reenactment"}
    cross = [
        _row("anna", driver="dora", **scores),
        _row("bert", driver="dora", **(scores | {"jaw": 0.7, "identity": 1.0})),
        _row("carl", driver="emil", **(scores | {"jaw": 0.99})),
    ]
    page = metrics_page([_row("anna")], [], cross=cross)
    assert [s.title for s in page][:3] == ["Metrics", "Cross-reenactment", "Protocols"]
    assert [row[0].text for row in page[0].rows] == ["anna"]
    assert "psnr" not in page[1].header
    assert _column(page[1], "jaw") == [("0.90", BEST), ("0.70", SECOND), ("0.99", "")]
    assert _column(page[1], "identity") == [("2.0", SECOND), ("1.0", BEST), ("2.0", "")]
    assert _column(page[1], "identity_driver") == [("5.3", "")] * 3
    assert _column(page[1], "lids_driver") == [("NA", "")] * 3
    assert [row[0].text for row in page[2].rows] == ["novel_view", "cross_reenactment"]


def test_regions_are_compared_with_the_same_region() -> None:
    rows = [_row(s, region=r, psnr=p) for r in ("full", "mask") for s, p in (("a", 1), ("b", 2))]
    section = regions_page(rows)[0]
    assert [mark for _, mark in _column(section, "psnr")] == [SECOND, BEST] * 2
    assert [text for text, _ in _column(section, "region")] == ["full", "full", "mask", "mask"]


def test_sections_appear_where_there_is_something_to_tell() -> None:
    assert [s.title for s in metrics_page([], [])] == ["Metrics"]
    assert metrics_page([], [])[0].text == ["No subject has been evaluated yet."]
    page = metrics_page([_row("anna", state="outdated")], [Failure("bert", "track", "no face")])
    titles = [
        "Metrics",
        "Protocols",
        "Spread over frames",
        "Settings",
        "Not of the present avatar",
        "Failed",
    ]
    assert [s.title for s in page] == titles
    assert [cell.text for cell in page[5].rows[0]] == ["bert", "track", "no face"]
