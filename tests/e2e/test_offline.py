"""Every page for people, opened in headless Chromium without a network: nothing leaves, and every picture is there."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from fashion.loop.monitor import monitor
from fashion.pages.explore import explore
from fashion.pages.status import Board
from fashion.params import load_params
from tests.browser import chromium
from tests.conftest import copy_trained
from tests.services import make_service, running
from tests.traffic import Traffic, inverted

PAGES = {
    "exploration/index.html": 20,
    "exploration_window/index.html": 20,
    "reports/fashion-classifier/1.html": 10,
    "validation/docs/index.html": 0,
    "validation/docs/train.html": 0,
    "validation/docs/images.html": 0,
    "monitoring/index.html": 0,
    "monitoring/1/index.html": 10,
    "monitoring/1/evidently.html": 0,
}
"""Below artifacts/, and how many pictures there are at least."""
WIDTHS = """() => Promise.all([...document.images].map(
  (image) => image.decode().then(() => image.naturalWidth, () => 0)))"""


@pytest.fixture(scope="module")
def project(trained_template, tmp_path_factory):
    """A trained project with a window of predictions, some of them made from pictures."""
    with pytest.MonkeyPatch.context() as patch:
        project = copy_trained(trained_template, tmp_path_factory.mktemp("offline") / "project", patch)
        params = load_params(project.params)
        traffic = Traffic(project, params)
        traffic.send(params.monitor.alarm.smallest_window, labelled=True)
        traffic.send(20, inverted, enlarged=4)
        traffic.log.close()
        monitor(project, params)
        explore(project, params, window=True)
        yield project


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser):
    """Opens a page, without a network unless it needs one; its address, what it asked for, and its pictures' widths."""

    def visit(address, network=False):
        with browser.new_context(offline=not network) as context:
            asked = []
            context.on("request", lambda request: asked.append(request.url))
            page = context.new_page()
            page.goto(address)
            page.wait_for_load_state("networkidle")
            widths = page.evaluate(WIDTHS)
            asked = [one for one in asked if not one.startswith("data:")]
            return SimpleNamespace(address=address, asked=asked, widths=widths)

    return visit


@pytest.mark.parametrize("path", PAGES)
def test_a_page_asks_for_nothing_but_itself_and_shows_every_picture(project, visit, path):
    found = visit((project.root / "artifacts" / path).as_uri())
    assert found.asked == [found.address]
    assert len(found.widths) >= PAGES[path]
    assert all(width > 0 for width in found.widths)


def test_the_status_of_a_service_asks_for_nothing_but_itself(project, visit, tmp_path):
    service = make_service(tmp_path)
    board = Board(project, load_params(project.params), service.log)
    with running(replace(service, board=board)) as address:
        found = visit(f"{address}/status", network=True)
    assert found.asked == [found.address]


def test_a_request_that_leaves_and_a_picture_that_is_missing_would_be_noticed(visit, tmp_path):
    (tmp_path / "page.html").write_text('<img src="http://127.0.0.1:9/picture.png">', encoding="utf-8")
    found = visit((tmp_path / "page.html").as_uri())
    assert found.asked == [found.address, "http://127.0.0.1:9/picture.png"]
    assert found.widths == [0]
