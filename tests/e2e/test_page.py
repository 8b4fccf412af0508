"""The page in headless Chromium, with mouse, keyboard, clipboard and files."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from fashion.pages.status import Board
from fashion.params import load_params
from fashion.paths import Project
from fashion.serving.answers import to_lists
from fashion.serving.keys import Keys, Right, add_key, keys_file
from tests.browser import chromium, grounds, open_page
from tests.projects import copy_project
from tests.servers import wait_until
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
    page = open_page(browser, viewport=DESK)
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
    Image.fromarray(image.squeeze()).save(stream, "PNG")
    return stream.getvalue()


def expect_answer(page, name):
    expect(page.locator("#verdict")).to_contain_text(f"{name}, ")
    expect(page.locator("#bars li")).to_have_count(len(CLASSES))
    expect(page.locator("#bars .best")).to_contain_text(name)
    expect(page.locator("#trouble")).to_be_hidden()


def give(page, content, name="a.png"):
    page.set_input_files("#file", {"name": name, "mimeType": "image/png", "buffer": content})


def test_a_file_is_chosen_shown_answered_and_corrected(page):
    give(page, picture(np.kron(255 - IMAGES[1, ..., 0], np.ones((4, 2), np.uint8))))
    expect_answer(page, "middle")
    assert page.evaluate("document.getElementById('seen').width") == 28
    expect(page.locator("#given")).to_be_visible()
    assert page.evaluate("['naturalWidth', 'naturalHeight'].map((side) => given[side])") == [56, 112]
    expect(page.locator("#truth")).to_be_hidden()
    expect(page.locator("#label")).to_be_hidden()
    page.click("#deny")
    expect(page.locator("#label")).to_be_focused()
    offered = [name for name in CLASSES if name != "middle"]
    assert page.eval_on_selector_all("#label option:enabled", "options => options.map((one) => one.value)") == offered
    page.click("text=Send label")
    expect(page.locator("#thanks")).to_be_empty()  # Nothing was chosen.
    page.select_option("#label", "bottom")
    page.click("text=Send label")
    expect(page.locator("#thanks")).to_have_text("Saved: bottom.")
    expect(page.locator("#label")).to_be_hidden()


def test_an_answer_is_confirmed(page):
    give(page, picture(IMAGES[1]))
    expect_answer(page, "upper")
    page.click("#deny")
    page.select_option("#label", "bottom")
    expect(page.locator("#confirm")).to_have_text("Right")
    page.click("#confirm")
    expect(page.locator("#thanks")).to_have_text("Saved: upper.")
    expect(page.locator("#label")).to_be_hidden()


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
    expect(page.locator("#trouble")).to_contain_text("a single shade")


def test_a_test_image_is_taken_with_the_keyboard(page):
    page.locator("#samples button").focus()
    page.keyboard.press("Enter")
    expect_answer(page, "top")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#samples button")).to_have_count(1)


def test_of_a_test_image_it_says_right_or_wrong_and_asks_for_no_label(browser, tmp_path):
    samples = [(IMAGES[number], "top") for number in (0, 1)]
    with running(replace(make_service(tmp_path), draw_samples=lambda: samples)) as address:
        page = open_page(browser)
        page.goto(address)
        for number, words in enumerate(
            ("Correct: the test set label is top.", "Incorrect: the test set label is top.")
        ):
            page.locator("#samples button").nth(number).click()
            expect(page.locator("#truth")).to_have_text(words)
            expect(page.locator("#given")).to_be_visible()
            expect(page.locator("#correct")).to_be_hidden()
        give(page, picture(IMAGES[1]))
        expect(page.locator("#correct")).to_be_visible()
        expect(page.locator("#truth")).to_be_hidden()
        page.close()


def test_pictures_whose_label_is_wanted_are_named_without_the_answer(browser, tmp_path):
    service = replace(make_service(tmp_path), asked_share=1.0)
    with running(service) as address:
        page = open_page(browser, viewport=PHONE)
        page.goto(address)
        expect(page.locator("#model")).to_have_text("bands, version 1")
        expect(page.locator("#wanted")).to_be_hidden()
        for number in range(3):
            give(page, picture(IMAGES[number]))
            expect(page.locator("#drawn")).to_be_visible()
            expect(page.locator("#verdict")).to_contain_text(f"{CLASSES[number]}, ")
        wait_until(lambda: not service.recorder.waiting)
        page.reload()
        expect(page.locator("#wanted")).to_be_visible()
        expect(page.locator("#sent")).to_be_visible()
        assert page.evaluate("['naturalWidth', 'naturalHeight'].map((side) => sent[side])") == [28, 28]
        expect(page.locator("#names button")).to_have_text(list(CLASSES))
        for name in CLASSES:
            expect(page.locator("#wanted p, #wanted canvas", has_text=name)).to_have_count(0)
        page.locator("#names button", has_text="bottom").click()
        expect(page.locator("#noted")).to_have_text("Saved: bottom.")
        page.click("#skip")
        expect(page.locator("#noted")).to_have_text("Skipped.")
        assert page.evaluate(NAMELESS) == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        page.locator("#names button", has_text="middle").click()
        expect(page.locator("#noted")).to_have_text("Saved: middle. No more pictures to label.")
        for gone in ("#names", "#sent", "#unnamed"):
            expect(page.locator(gone)).to_be_hidden()
        page.close()
        assert list(service.log.read_window().labels) == [4, -1, 2]


def test_who_labels_sees_the_photograph_that_was_sent_and_where_an_array_was_sent_the_input_alone(browser, tmp_path):
    service = replace(make_service(tmp_path), asked_share=1.0)
    failed = []
    with running(service) as address:
        page = open_page(browser, viewport=DESK)
        page.on("pageerror", lambda error: failed.append(error))  # noqa: PLW0108, Playwright takes functions alone
        page.goto(address)
        give(page, picture(np.kron(255 - IMAGES[1, ..., 0], np.ones((10, 20), np.uint8))))
        expect(page.locator("#bars li")).to_have_count(len(CLASSES))
        page.locator("#samples button").click()
        expect_answer(page, "top")
        wait_until(lambda: not service.recorder.waiting)
        page.reload()
        expect(page.locator("#sent")).to_be_visible()
        assert page.evaluate("['naturalWidth', 'naturalHeight'].map((side) => sent[side])") == [400, 200]
        expect(page.locator("#unnamed")).to_be_visible()
        page.click("#skip")
        expect(page.locator("#noted")).to_have_text("Skipped.")
        expect(page.locator("#sent")).to_be_hidden()
        expect(page.locator("#unnamed")).to_be_visible()
        page.close()
    assert not failed


def test_a_refused_picture_leaves_no_answer_of_the_one_before(page):
    give(page, picture(IMAGES[0]))
    expect_answer(page, "top")
    give(page, picture(np.full((40, 40), 90, np.uint8)))
    expect(page.locator("#trouble")).to_contain_text("a single shade")
    expect(page.locator("#verdict")).to_have_text("No prediction.")
    for gone in ("#answer", "#correct", "#seen", "#bars", "#abstain", "#truth"):
        expect(page.locator(gone)).to_be_hidden()
    expect(page.locator("#given")).to_be_visible()
    give(page, b"no picture", "<b>a</b>.png")
    expect(page.locator("#trouble")).to_contain_text("<b>a</b>.png: neither a picture")
    expect(page.locator("#given")).to_be_hidden()
    give(page, picture(IMAGES[0]))
    expect_answer(page, "top")


def test_of_many_classes_with_long_names_the_most_probable_are_shown_and_nothing_sticks_out(page):
    """As a model of 256 classes answers whose names have 100 characters; the band model has five."""
    names = [f"{'W' * 96}{number:04}" for number in range(256)]
    probabilities = {name: 0.5 if number == 200 else 0.5 / 255 for number, name in enumerate(names)}
    answer = {"id": "1", "predicted": names[200], "confidence": 0.5, "probabilities": probabilities, "abstain": False}
    answer |= {"reason": None, "explanation": None, "label_wanted": False, "seen": to_lists(IMAGES[0])}
    model = {"model": "wide", "version": "1", "classes": names}
    page.route("**/model", lambda route: route.fulfill(json=model))
    page.route("**/predict*", lambda route: route.fulfill(json={"version": "1", "predictions": [answer]}))
    page.set_viewport_size(PHONE)
    page.reload()
    expect(page.locator("#model")).to_have_text("wide, version 1")
    give(page, picture(IMAGES[0]))
    expect(page.locator("#bars li")).to_have_count(12)
    expect(page.locator("#bars .best")).to_contain_text(names[200])
    expect(page.locator("#rest")).to_have_text("and 244 less probable classes")
    page.click("#deny")
    expect(page.locator("#label option")).to_have_count(257)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_an_answer_that_comes_late_does_not_replace_that_of_a_later_picture(page):
    held = []
    page.route("**/predict*", lambda route: route.continue_() if held else held.append(route))
    give(page, picture(IMAGES[0]))
    expect(page.locator("#verdict")).to_have_text("…")
    give(page, picture(IMAGES[2]))
    expect_answer(page, "middle")
    with page.expect_response("**/predict*"):
        held[0].continue_()
    expect_answer(page, "middle")


def test_a_doubtful_answer_says_so(page):
    pale = np.zeros((28, 28), np.uint8)
    pale[14, 14] = 255
    give(page, picture(pale))
    expect(page.locator("#abstain")).to_have_text("Do not rely on this answer: the model is not sure enough.")


def test_it_fits_a_phone_and_every_control_has_a_name(page):
    page.set_viewport_size(PHONE)
    page.locator("#samples button").click()
    expect_answer(page, "top")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    expect(page.locator("#verdict")).to_be_in_viewport()
    assert page.evaluate(NAMELESS) == 0
    assert page.locator("html").get_attribute("lang") == "en"


def test_it_is_dark_where_that_is_preferred(page):
    light, dark = grounds(page)
    assert min(light) > 200
    assert max(dark) < 60


def test_it_asks_for_the_key_once_in_a_tab(browser, tmp_path):
    with running(make_service(tmp_path, key="secret")) as address:
        page = open_page(browser)
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


def test_what_a_key_is_not_for_is_left_out(browser, tmp_path):
    home = Project(tmp_path)
    asks, teaches = add_key(home, "asks", [Right.PREDICT]), add_key(home, "teaches", [Right.FEEDBACK])
    service = replace(make_service(tmp_path / "service", keys=Keys(keys_file(home))), asked_share=1.0)
    with running(service) as address:
        page = open_page(browser)
        page.goto(address)
        page.fill("#key", asks)
        page.keyboard.press("Enter")
        expect(page.locator("#samples button")).to_have_count(1)
        give(page, picture(IMAGES[1]))
        expect_answer(page, CLASSES[1])
        wait_until(lambda: not service.recorder.waiting)
        page.reload()
        expect(page.locator("#samples button")).to_have_count(1)
        for part in ("#wanted", "#trouble", "#unlock"):
            expect(page.locator(part)).to_be_hidden()
        give(page, picture(IMAGES[1]))
        page.click("#confirm")
        expect(page.locator("#trouble")).to_contain_text("lacks the right 'feedback'")
        page.fill("#key", teaches)
        page.keyboard.press("Enter")
        expect(page.locator("#wanted")).to_be_visible()
        for part in ("#test-set", "#trouble", "#unlock"):
            expect(page.locator(part)).to_be_hidden()
        page.close()


def test_the_status_and_the_pages_it_links_are_shown_to_a_browser_with_the_key_and_run_no_script(browser, tmp_path):
    project = copy_project(tmp_path / "project")
    for path in ("exploration/index.html", "monitoring/index.html"):
        (project.root / "artifacts" / path).parent.mkdir(parents=True)
        content = f"<p id=said>{path}</p><script>said.textContent = 'a script ran'</script>"
        (project.root / "artifacts" / path).write_text(content, encoding="utf-8")
    service = make_service(tmp_path / "service", key="secret")
    board = Board(project, load_params(project.params), service.log)
    with running(replace(service, board=board)) as address:
        page = open_page(browser, viewport=PHONE)
        page.goto(address)
        page.click("text=Status")
        page.fill("#key", "wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#trouble")).to_contain_text("valid key")
        page.fill("#key", "secret")
        page.keyboard.press("Enter")
        expect(page.locator("h2").first).to_have_text("What needs a person")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        page.click("text=All windows of predictions")
        expect(page.locator("#said")).to_have_text("monitoring/index.html")
        page.goto(f"{address}/status/exploration/index.html")
        expect(page.locator("#said")).to_have_text("exploration/index.html")
        page.close()
