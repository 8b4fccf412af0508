"""The pages about windows of predictions, and Evidently's report beside them, in headless Chromium."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from playwright.sync_api import expect

from fashion.adapters.predictions import JudgedWindow, Window
from fashion.evaluation.abstention import Abstention
from fashion.evaluation.alarm import Verdict
from fashion.images.descriptors import WATCHED, describe
from fashion.images.synthetic import draw
from fashion.loop.window_page import NEIGHBOURS, PAGE, SHOWN, write_index, write_page
from fashion.stages.reference import Examples, Known, Reference
from tests.browser import chromium, grounds, open_page

CLASSES = ("W" * 88 + " <&> äöüß", "Ankle boot <b>")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1100, "height": 900}
SIZES = """[...document.querySelectorAll("figcaption, td, th, p, nav a")].map((element) =>
  parseFloat(getComputedStyle(element).fontSize))"""
BARS = """[...document.querySelectorAll(".js-plotly-plot")].map(({ data, layout }) => ({
  axis: layout.yaxis.title.text,
  bars: data.filter(({ type, visible }) => type === "bar" && visible).map(({ name, x, y }) => [name, [...x], [...y]]),
}))"""
WINDOW, REFERENCE = 40, 120
"""Rows of either side; all of the window are of one class, half of the reference."""


def answers(count, labels):
    images, _ = draw(count, 2, (28, 28), seed=count)
    random = np.random.default_rng(count)
    probabilities = np.where(np.arange(2) == labels[:, None], 0.9, 0.1).astype(np.float32)
    return images, probabilities, random.normal(size=(count, 8)).astype(np.float32)


def window():
    images, probabilities, embeddings = answers(WINDOW, np.ones(WINDOW, np.int64))
    return Window(
        ids=np.array([f"{number:04}" for number in range(WINDOW)]),
        times=np.full(WINDOW, np.datetime64("2026-01-01T12:00:00", "us")),
        images=images,
        probabilities=probabilities,
        embeddings=embeddings,
        predicted=probabilities.argmax(axis=1),
        labels=np.full(WINDOW, -1),
        versions=np.full(WINDOW, "1"),
        reasons=(None,) * WINDOW,
        descriptors=describe(images),
        numbers=np.arange(WINDOW),
        asked=np.zeros(WINDOW, np.bool_),
        sources=(None,) * WINDOW,
        removed=np.zeros((WINDOW, 2), np.int64),
        unknown_labels=0,
    )


def known():
    labels = np.arange(REFERENCE) % 2
    images, probabilities, embeddings = answers(REFERENCE, labels)
    rule = Abstention(embeddings, distance_limit=1.0, confidence_limit=0.5)
    of = labels.astype(np.uint8)
    return Known(Reference(embeddings, probabilities, of, of, rule), describe(images), Examples(images, of, embeddings))


def judged(number, verdict=Verdict.ALARM):
    moment = NOON + timedelta(hours=number)
    return JudgedWindow(
        number=number,
        time=moment,
        model_version="1",
        first_id="0",
        last_id="1",
        first_number=0,
        last_number=WINDOW - 1,
        start=moment,
        end=moment,
        predictions=WINDOW,
        scores={"descriptors": 1e32, "class mix": 0.4, "labels": -1e9},
        verdict=verdict,
        because="descriptors beyond its limit",
        estimated_accuracy=0.9,
        by_class={"0": (20, 18)},
        classes=CLASSES,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The pages of windows 3 to 5, as three looks leave them; window 2 has none any more."""
    folder = tmp_path_factory.mktemp("monitoring")
    windows = [judged(2, Verdict.CLEAN)]
    for number in (3, 4, 5):
        (folder / str(number)).mkdir()
        windows.append(judged(number))
        write_page(folder / str(number), window(), windows, known(), folder / "trend")
        write_index(folder, windows)
    return folder


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser, folder):
    page = open_page(browser, viewport=PHONE)
    page.goto((folder / PAGE).as_uri())
    yield page
    page.close()


def test_the_index_leads_to_every_page_and_each_page_to_the_one_before_and_after(page):
    expect(page.locator("tr")).to_have_count(5)
    expect(page.locator("td a")).to_have_text(["5", "4", "3"])
    page.click("td a >> text=4")
    expect(page.locator("h1")).to_have_text("Window 4")
    page.click("a[rel=next]")
    expect(page.locator("h1")).to_have_text("Window 5")
    expect(page.locator("a[rel=next]")).to_have_count(0)
    page.click("a[rel=prev]")
    page.click("a[rel=prev]")
    expect(page.locator("h1")).to_have_text("Window 3")
    expect(page.locator("a[rel=prev]")).to_have_count(0)
    page.click("nav a >> text=All windows")
    expect(page.locator("h1")).to_have_text("Prediction windows")


def test_on_a_phone_everything_can_be_read_and_nothing_sticks_out(page, folder):
    for path in (PAGE, f"5/{PAGE}"):
        page.goto((folder / path).as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
        assert min(page.evaluate(SIZES)) >= 14, path
    expect(page.locator("tr:has-text('labels') td >> nth=1")).to_have_text("under -1,000")
    # The drawing's letters of 12 points, in the size in which the phone shows them.
    scale = page.evaluate("(({ width, naturalWidth }) => width / naturalWidth)(document.querySelector('.trend'))")
    assert scale * 10 * 110 / 72 > 9
    expect(page.locator(".strange .row")).to_have_count(SHOWN)
    expect(page.locator(".strange figure")).to_have_count(SHOWN * (1 + NEIGHBOURS))
    expect(page.locator(".strange figcaption").first).to_have_text("Ankle boot <b> 90%")


def test_it_is_dark_where_that_is_preferred(page, folder):
    page.goto((folder / "5" / PAGE).as_uri())
    light, dark = grounds(page)
    assert min(light) > 200
    assert max(dark) < 60


def test_the_charts_of_evidently_compare_shares(page, folder):
    """Of 40 predictions and 120 of the reference, all and half are of one class: counts would be 40 and 60."""
    name = "Ankle boot &lt;b&gt;"  # As plotly takes it, which would read <b> as bold.
    page.set_viewport_size(DESK)
    page.goto((folder / "5" / "evidently.html").as_uri())
    expect(page.locator("text=Drift in column 'predicted'")).to_be_visible()
    expect(page.locator(".js-plotly-plot")).to_have_count(len(WATCHED) + 2)
    graphs = page.evaluate(BARS)
    classes = [graph for graph in graphs if any(name in x for _, x, _ in graph["bars"])]
    assert classes, json.dumps(graphs)[:1000]
    for graph in classes:
        shares = {which: dict(zip(x, y, strict=True)) for which, x, y in graph["bars"]}
        assert graph["axis"] == "Percent"
        assert shares["current"][name] == pytest.approx(100)
        assert shares["reference"][name] == pytest.approx(50)
