"""The page in headless Chromium, with mouse, keyboard, clipboard and files."""

import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser import chromium
from tests.services import CLASSES, IMAGES, make_service, running

PHONE, DESK = {"width": 360, "height": 740}, {"width": 1100, "height": 900}
GIVE = """([kind, bytes]) => {
  const file = new File([new Uint8Array(bytes)], "given.png", { type: "image/png" });
  const data = new DataTransfer();
  data.items.add(file);
  const event = kind === "drop"
    ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
    : new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
  document.getElementById("drop").dispatchEvent(event);
}"""
NAMELESS = """() => [...document.querySelectorAll("button, input, select")].filter((control) =>
  !(control.labels?.length || control.textContent.trim() || control.getAttribute("aria-label"))).length"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with running(make_service(tmp_path_factory.mktemp("service"))) as address:
        yield address


@pytest.fixture
def page(browser, address):
    """The page, loaded; at the end nothing was asked of anybody else, and no script has failed."""
    page = browser.new_page(viewport=DESK)
    asked, failed = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: failed.append(error))  # noqa: PLW0108, Playwright takes functions alone
    page.goto(address)
    expect(page.locator("#model")).to_have_text("bands, version 1")
    yield page
    page.close()
    assert not failed
    assert all(url.startswith((address, "data:", "blob:")) for url in asked)


def picture(image):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def expect_answer(page, name):
    expect(page.locator("#verdict")).to_contain_text(f"{name}, ")
    expect(page.locator("#bars li")).to_have_count(len(CLASSES))
    expect(page.locator("#bars .best")).to_contain_text(name)
    expect(page.locator("#trouble")).to_be_hidden()


def test_a_file_is_chosen_answered_and_corrected(page):
    page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": picture(IMAGES[1])})
    expect_answer(page, "upper")
    assert page.evaluate("document.getElementById('seen').width") == 28
    page.select_option("#label", "bottom")
    page.click("#correct button")
    expect(page.locator("#thanks")).to_have_text("Noted: bottom.")


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(page, way):
    page.evaluate(GIVE, [way, list(picture(IMAGES[2]))])
    expect_answer(page, "middle")


def test_a_drawing_is_answered(page):
    board = page.locator("#board").bounding_box()
    page.mouse.move(board["x"] + 100, board["y"] + 60)
    page.mouse.down()
    page.mouse.move(board["x"] + 100, board["y"] + 200, steps=5)
    page.mouse.up()
    page.click("#ask")
    expect(page.locator("#bars li")).to_have_count(len(CLASSES))
    seen = page.evaluate("[...document.getElementById('seen').getContext('2d').getImageData(0, 0, 28, 28).data]")
    middle = np.array(seen).reshape(28, 28, 4)[..., 0][:, 14]
    assert middle.min() > 150
    page.click("#clear")
    page.click("#ask")
    expect(page.locator("#trouble")).to_contain_text("all of one shade")


def test_a_test_image_is_taken_with_the_keyboard(page):
    page.locator("#samples button").focus()
    page.keyboard.press("Enter")
    expect_answer(page, "top")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#samples button")).to_have_count(1)


def test_what_is_no_picture_is_said_and_forgotten_with_the_next_answer(page):
    page.set_input_files("#file", {"name": "<b>a</b>.png", "mimeType": "image/png", "buffer": b"no picture"})
    expect(page.locator("#trouble")).to_contain_text("<b>a</b>.png: neither a picture")
    page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": picture(IMAGES[0])})
    expect_answer(page, "top")


def test_a_doubtful_answer_says_so(page):
    pale = np.zeros((28, 28), np.uint8)
    pale[14, 14] = 255
    page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": picture(pale)})
    expect(page.locator("#abstain")).to_contain_text("not sure enough")


def test_it_fits_a_phone_and_every_control_has_a_name(page):
    page.set_viewport_size(PHONE)
    page.locator("#samples button").click()
    expect_answer(page, "top")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    expect(page.locator("#verdict")).to_be_in_viewport()
    assert page.evaluate(NAMELESS) == 0
    assert page.locator("html").get_attribute("lang") == "en"


def test_it_is_dark_where_that_is_preferred(page):
    grounds = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    light, dark = ([int(part) for part in ground[4:-1].split(",")] for ground in grounds)
    assert min(light) > 200
    assert max(dark) < 60


def test_it_asks_for_the_key_once_in_a_tab(browser, tmp_path):
    with running(make_service(tmp_path, key="secret")) as address:
        page = browser.new_page()
        page.goto(address)
        expect(page.locator("#unlock")).to_be_visible()
        page.fill("#key", "wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#trouble")).to_contain_text("key")
        page.fill("#key", "secret")
        page.keyboard.press("Enter")
        expect(page.locator("#model")).to_have_text("bands, version 1")
        page.reload()
        expect(page.locator("#model")).to_have_text("bands, version 1")
        expect(page.locator("#unlock")).to_be_hidden()
        page.close()
