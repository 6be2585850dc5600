"""The machine's own Chromium, headless, for tests of pages."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

_PATIENCE = 30_000  # milliseconds, on a busy machine


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser. Skips the test where the machine has no Chromium."""
    binary = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
    if binary is None:
        pytest.skip("there is no Chromium here: scripts/browser.sh says how to get one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=_FLAGS)
        yield browser
        browser.close()


@contextlib.contextmanager
def page_of(browser: Browser, width: int = 1440, height: int = 1000) -> Iterator[Page]:
    """A page that shares nothing with others of the browser."""
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(_PATIENCE)
    expect.set_options(timeout=_PATIENCE)
    yield page
    page.close()


@contextlib.contextmanager
def browser_page(width: int = 1440, height: int = 1000) -> Iterator[Page]:
    """A page in a browser of its own."""
    with chromium() as browser, page_of(browser, width, height) as page:
        yield page
