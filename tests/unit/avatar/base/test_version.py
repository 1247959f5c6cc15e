import re

import avatar
from avatar.base.version import code_hash, code_version


def test_the_version_names_release_and_source() -> None:
    assert re.fullmatch(re.escape(avatar.__version__) + r"\+[0-9a-f]{12}", code_version())
    assert code_version().endswith(code_hash()[:12])
    assert len(code_hash()) == 64
