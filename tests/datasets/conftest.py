"""The tiny official release that a builder's tests write, once for each file of tests."""

import miniature
import pytest


@pytest.fixture(scope="module")
def raw(request, tmp_path_factory):
    with miniature.released(request.module, tmp_path_factory.mktemp("raw")) as folder:
        yield folder
