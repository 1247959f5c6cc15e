from pipeline.doctor.finding import Finding, table


def test_the_table_aligns_and_tells_what_to_do() -> None:
    rows = [Finding("disk", "ok", "70 GiB"), Finding("libraries", "fail", "none", "apt-get")]
    assert table(rows).splitlines() == [
        "ok    disk       70 GiB",
        "fail  libraries  none",
        "                 -> apt-get",
    ]
