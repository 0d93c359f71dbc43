"""Headless Chromium: where it is, and what it shows as pictures in build/."""

import shutil
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
sync_api.expect.set_options(timeout=60_000)  # milliseconds, on a machine that does much else

NEEDED = [
    pytest.mark.slow,
    pytest.mark.skipif(_CHROMIUM is None, reason="no chromium: apt-get install chromium"),
]
DESKTOP, PHONE = {"width": 1200, "height": 900}, {"width": 390, "height": 844}

_SCREENSHOTS = Path(__file__).parents[1] / "build" / "screenshots"


def launched(playwright):
    return playwright.chromium.launch(executable_path=_CHROMIUM)


def picture(page, name):
    _SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=_SCREENSHOTS / f"{name}.png", full_page=True)
