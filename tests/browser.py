"""A headless Chromium for tests of pages."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from tests.servers import PATIENCE_SECONDS


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
        expect.set_options(timeout=1000 * PATIENCE_SECONDS)
        yield browser
        browser.close()


def open_page(browser: Browser, **options: Any) -> Page:
    """A page that is waited for as everything else is."""
    page = browser.new_page(**options)
    page.set_default_timeout(1000 * PATIENCE_SECONDS)
    return page


def grounds(page: Page) -> tuple[list[int], ...]:
    """The red, green and blue behind the page, where light is preferred and where dark is."""
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    return tuple([int(part) for part in ground[4:-1].split(",")] for ground in found)
