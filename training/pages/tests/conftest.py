"""Pages for the tests: made once per run, since Chromium takes seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from pages.make import make


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 100 pages of seed 5."""
    folder = tmp_path_factory.mktemp("pages")
    make(folder, 100, 5, 1)
    return folder
