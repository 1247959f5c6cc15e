"""One browser for each module of tests."""

from collections.abc import Iterator

import pytest

from tests.browser.chromium import Page


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    browser = Page(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()
