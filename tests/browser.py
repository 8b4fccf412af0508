"""A headless Chromium for tests of pages."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Error, sync_playwright


@contextmanager
def chromium(*options: str) -> Iterator[Browser]:
    """With these options of its command line. The test is skipped where there is none."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    # Without a graphics card its drawing process keeps a core busy; the sandbox does not work for root.
    arguments = [*options, "--disable-gpu", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=found, args=arguments)
        except Error as error:
            pytest.skip(
                f"no Chromium here; install it with: apt-get install chromium ({error.message.splitlines()[0]})"
            )
        yield browser
        browser.close()
