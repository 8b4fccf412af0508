"""The service in this process: real models in LiteRT, a real log, requests through its whole application."""

import asyncio
import io
import json
import logging
import math
import socket
import struct
import tempfile
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import httpx
import numpy as np
import pytest
from fastapi import HTTPException
from PIL import Image
from starlette.testclient import TestClient

from fashion.adapters.predictions import Label, Model, PredictionLog, Record, Retention, new_id, read_survey, retention
from fashion.errors import ArtifactError, ParamsError, ServiceError
from fashion.evaluation.survey import Survey
from fashion.params import load_params
from fashion.registry.champion import Found
from fashion.serving.answers import to_lists
from fashion.serving.app import MOST_WANTED, create_app
from fashion.serving.batches import Batches
from fashion.serving.bodies import BodyLimits
from fashion.serving.champions import Champions, Served
from fashion.serving.decoding import THREADS, Pictures
from fashion.serving.labels import Labels
from fashion.serving.limits import Limits
from fashion.serving.recorder import CLOSE_SECONDS, Recorder
from fashion.serving.requests import see
from fashion.serving.server import DRAIN_SECONDS, serve
from tests import logs
from tests.servers import PATIENCE_SECONDS, wait_until
from tests.services import CLASSES, FORM, IMAGES, SIZE, make_champion, make_service, running

HERE = "http://127.0.0.1"


@pytest.fixture
def service(tmp_path):
    return make_service(tmp_path)


@pytest.fixture
def client(service):
    with TestClient(create_app(service), base_url=HERE) as client:
        yield client


def png(pixels, kind="PNG", **options):
    stream = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(stream, kind, **options)
    return stream.getvalue()


def upload(client, content, name="picture.png"):
    return client.post("/predict", files={"images": (name, content)})


def arrays(images):
    """As a body: grey pixels are numbers."""
    return {"images": [to_lists(image) for image in images]}


def ask(client, images, **options):
    return client.post("/predict", json=arrays(images), **options)


def flush(service):
    """Wait until everything is in the log."""
    wait_until(lambda: not service.recorder.waiting)


def figure(client, name):
    lines = client.get("/metrics").text.splitlines()
    return float(next(line.split()[-1] for line in lines if line.startswith(f"{name} ")))


def test_arrays_are_answered_in_their_order_and_logged_as_they_were(client, service):
    answer = ask(client, IMAGES)
    assert answer.status_code == 200
    content = answer.json()
    assert (content["model"], content["version"]) == ("bands", "1")
    found = content["predictions"]
    assert [one["predicted"] for one in found] == [*CLASSES, *CLASSES]
    assert all(list(one["probabilities"]) == list(CLASSES) for one in found)
    assert all(sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-5) for one in found)
    assert all(one["confidence"] == max(one["probabilities"].values()) for one in found)
    assert not any(one["abstain"] or "seen" in one for one in found)
    flush(service)
    window = service.log.read_window()
    assert list(window.ids) == [one["id"] for one in found]
    assert (window.images == IMAGES).all()
    assert window.embeddings.shape == (10, 4)
    assert set(window.versions) == {"1"}


def test_grey_pixels_may_also_be_lists_of_one_channel(client):
    (numbers,), (channels,) = (
        client.post("/predict", json={"images": [one]}).json()["predictions"]
        for one in (to_lists(IMAGES[3]), IMAGES[3].tolist())
    )
    assert channels["probabilities"] == pytest.approx(numbers["probabilities"])


def test_labels_are_asked_for_at_random_whatever_the_answer(tmp_path):
    service = replace(make_service(tmp_path), asked_share=0.3)
    with TestClient(create_app(service), base_url=HERE) as client:
        found = [one for _ in range(40) for one in ask(client, IMAGES).json()["predictions"]]
        flush(service)
        wanted = [one["id"] for one in found if one["label_wanted"]]
        assert 60 <= len(wanted) <= 180
        assert len({one["predicted"] for one in found if one["label_wanted"]}) == len(CLASSES)
        window = service.log.read_window()
        assert list(window.ids[window.asked]) == wanted
        queue = client.get("/wanted").json()
        assert [one["id"] for one in queue] == wanted[:MOST_WANTED]
        assert {tuple(one) for one in queue} == {("id", "image", "has_picture")}
        assert queue[0]["image"] == window.images[window.asked][0, ..., 0].tolist()
        for one in queue[:3]:
            label = {"prediction_id": one["id"], "label": "top", "source": "asked"}
            assert client.post("/feedback", json=label).status_code == 200
        assert [one["id"] for one in client.get("/wanted").json()] == wanted[3 : MOST_WANTED + 3]
        for after, rest in ((queue[9]["id"], wanted[10 : MOST_WANTED + 10]), (new_id(), wanted[3 : MOST_WANTED + 3])):
            assert [one["id"] for one in client.get("/wanted", params={"after": after}).json()] == rest
        assert client.get("/wanted", params={"after": "' OR 1=1"}).status_code == 422
        model = Model("bands", CLASSES)
        assert read_survey(service.log, model) == Survey(3, 3)
        client.post("/feedback", json={"prediction_id": wanted[9], "label": "top"})
        assert read_survey(service.log, model) == Survey(10, 4)
        assert read_survey(service.log, Model("another", CLASSES)) == Survey(0, 0)


def test_nothing_is_asked_where_that_is_not_wanted_and_the_queue_needs_the_key(tmp_path):
    with TestClient(create_app(make_service(tmp_path, key="secret")), base_url=HERE) as client:
        key = {"X-API-Key": "secret"}
        assert not any(one["label_wanted"] for one in ask(client, IMAGES, headers=key).json()["predictions"])
        assert client.get("/wanted").status_code == 401
        assert client.get("/wanted", headers=key).json() == []


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("JPEG", {"quality": 95}), ("WEBP", {"lossless": True})])
def test_a_picture_is_seen_as_fashion_predict_sees_it(client, kind, options):
    photograph = np.full((300, 200), 250, np.uint8)
    photograph[200:280, 40:160] = 30
    files = {"images": ("a.png", png(photograph, kind, **options))}
    (found,) = client.post("/predict?seen=true", files=files).json()["predictions"]
    seen = np.array(found["seen"])
    assert seen.shape == SIZE
    assert seen[14, 14] > 200
    assert seen[0, 0] == 0


def test_many_pictures_come_in_one_form(client):
    files = [("images", (f"{number}.png", png(image))) for number, image in enumerate(IMAGES[:3])]
    found = client.post("/predict", files=files).json()["predictions"]
    assert [one["predicted"] for one in found] == list(CLASSES[:3])


def test_it_abstains_where_it_is_unsure(client, service):
    (found,) = ask(client, np.full((1, *FORM.shape), 50, np.uint8)).json()["predictions"]
    assert (found["abstain"], found["reason"]) == (True, "unsure")
    assert 'fashion_abstentions_total{reason="unsure",version="1"} 1.0' in client.get("/metrics").text
    flush(service)
    assert service.log.read_window().reasons == ("unsure",)


def test_it_abstains_from_what_is_unlike_everything_known(tmp_path):
    served = Served(make_champion(tmp_path, "1", known=-0.5))
    assert asyncio.run(served.ask(IMAGES[:2], np.zeros(2, np.bool_))).reasons == ["unlike", "unlike"]
    served.retire()


def test_it_abstains_from_a_cluttered_picture_and_takes_arrays_as_they_are(client, service):
    noise = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    (found,) = upload(client, png(noise)).json()["predictions"]
    assert (found["abstain"], found["reason"]) == (True, "cluttered")
    assert found["explanation"] == "the picture does not show one object on a plain background"
    assert 'fashion_abstentions_total{reason="cluttered",version="1"} 1.0' in client.get("/metrics").text
    flush(service)
    assert service.log.read_window().reasons == ("cluttered",)
    files = [("images", ("good.png", png(IMAGES[0]))), ("images", ("noise.png", png(noise)))]
    answers = client.post("/predict", files=files).json()["predictions"]
    assert [one["reason"] for one in answers] == [None, "cluttered"]
    assert ask(client, IMAGES[:1]).json()["predictions"][0]["reason"] is None


def test_a_version_without_a_reference_never_abstains(tmp_path):
    served = Served(make_champion(tmp_path, "1", reference=False))
    answers = asyncio.run(served.ask(np.zeros((1, *FORM.shape), np.uint8), np.zeros(1, np.bool_)))
    assert answers.reasons == [None]
    served.retire()


def bomb():
    """A PNG of a few hundred bytes that claims 30,000 x 30,000 pixels."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


BAD_FILES = {
    "empty": (b"", "the file is empty"),
    "text": (b"no picture at all", "neither a picture"),
    "truncated": (png(np.random.default_rng(0).integers(0, 256, (80, 80), dtype=np.uint8))[:-2000], "damaged"),
    "bomb": (bomb(), "pixels; reduce its size"),
    "one shade": (png(np.full((50, 50), 90, np.uint8)), "a single shade"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "neither a picture"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_is_no_picture_is_refused_in_words(client, name, caplog):
    caplog.set_level(logging.INFO, "fashion")
    content, words = BAD_FILES[name]
    answer = upload(client, content, "my file.png")
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("my file.png: ")
    assert words in answer.json()["error"]
    assert words in caplog.text
    assert ask(client, IMAGES[:1]).status_code == 200


def odd_files():
    random = np.random.default_rng(0)
    shirt = np.full((60, 40), 255, np.uint8)
    shirt[10:50, 10:30] = random.integers(0, 60, (40, 20))
    frames = [Image.fromarray(shirt), Image.fromarray(255 - shirt)]
    animated = io.BytesIO()
    frames[0].save(animated, "GIF", save_all=True, append_images=frames[1:])
    cmyk = io.BytesIO()
    Image.fromarray(shirt).convert("CMYK").save(cmyk, "JPEG")
    deep = io.BytesIO()
    Image.fromarray(shirt.astype(np.uint16) * 257).save(deep, "PNG")
    return {"animated": animated.getvalue(), "CMYK": cmyk.getvalue(), "16-bit": deep.getvalue()}


@pytest.mark.parametrize("name", ["animated", "CMYK", "16-bit"])
def test_odd_kinds_of_pictures_are_answered(client, name):
    assert upload(client, odd_files()[name]).status_code == 200


def large(pixels=40_000_000):
    """A WebP of one shade with so many pixels, in some hundred kilobytes."""
    stream = io.BytesIO()
    Image.new("L", (pixels // 4000, 4000), 200).save(stream, "WEBP", quality=1, method=0)
    return stream.getvalue()


def test_pictures_that_claim_too_many_pixels_together_are_refused_before_one_is_decoded(tmp_path, monkeypatch):
    service = make_service(tmp_path, limits=Limits(pixels=1_000_000))
    monkeypatch.setattr("fashion.serving.requests.see", None)
    content = large(400_000)
    with TestClient(create_app(service), base_url=HERE) as client:
        answer = client.post("/predict", files=[("images", (f"{number}.webp", content)) for number in range(3)])
        assert answer.status_code == 422
        assert answer.json()["error"].startswith("2.webp: the pictures up to here claim more than 1,000,000 pixels")


def test_large_pictures_are_decoded_one_at_a_time():
    pictures, order = Pictures(room=100), []

    async def decode(name, pixels):
        async with pictures.room(pixels, deadline=math.inf):
            order.append(f"{name} begins")
            await asyncio.sleep(0)
            order.append(f"{name} ends")

    async def main():
        await asyncio.gather(decode("huge", 1000), decode("large", 60), decode("small", 40), decode("larger", 70))

    asyncio.run(main())
    begins = [order.index(f"{name} begins") for name in ("huge", "large", "small", "larger")]
    assert begins == sorted(begins)
    assert order.index("huge ends") < order.index("large begins")
    assert order.index("small begins") < order.index("large ends") < order.index("larger begins")
    pictures.close()


def test_the_end_waits_for_no_picture_and_begins_no_other():
    """On code that waits, it does so for half a minute."""
    pictures, begun, let_go, decoded = Pictures(), threading.Semaphore(0), threading.Event(), []

    def decode(name):
        begun.release()
        let_go.wait(30)
        decoded.append(name)

    async def main():
        running = [asyncio.ensure_future(pictures.run(decode, name)) for name in ("first", "second", "third")]
        for _ in range(THREADS):
            await asyncio.to_thread(begun.acquire)
        pictures.close()
        assert decoded == []
        let_go.set()
        await asyncio.wait(running)

    asyncio.run(main())
    assert sorted(decoded) == ["first", "second"]


def test_a_picture_that_finds_no_room_is_sent_away(client, service, monkeypatch):
    service.pictures._free = 0
    with monkeypatch.context() as patch:
        patch.setattr("fashion.serving.requests.PATIENCE_SECONDS", 0.05)
        answer = upload(client, png(IMAGES[0]))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    service.pictures._free = 1_000_000
    assert upload(client, png(IMAGES[0])).status_code == 200
    assert service.pictures._free == 1_000_000


def test_decoding_stops_when_the_caller_has_gone(tmp_path, monkeypatch):
    service = make_service(tmp_path)
    begun, released, decoded = threading.Event(), threading.Event(), []

    def see_slowly(stream, name, *how):
        decoded.append(name)
        begun.set()
        released.wait()
        return see(stream, name, *how)

    monkeypatch.setattr("fashion.serving.requests.see", see_slowly)
    files = [("images", (f"{number}.png", png(IMAGES[0]))) for number in range(5)]
    form = httpx.Request("POST", HERE, files=files)
    body = form.read()
    with running(service) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as line:
            head = f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: {form.headers['Content-Type']}\r\n"
            line.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            begun.wait()
        # Whoever asks later is answered later: by then the service has heard that the first one has gone.
        assert httpx.get(f"{address}/healthz", timeout=60).status_code == 200
        released.set()
        gone = 'fashion_requests_total{method="POST",path="/predict",status="499"} 1.0'
        wait_until(lambda: gone in httpx.get(f"{address}/metrics", timeout=60).text)
    assert decoded == ["0.png"]


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=b"])
def test_a_caller_who_goes_in_the_middle_of_a_body_is_no_fault_of_the_service(tmp_path, kind, caplog):
    with running(make_service(tmp_path)) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as line:
            head = f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\nContent-Length: 100\r\n\r\n"
            line.sendall(head.encode() + b"--b\r\n")
        gone = 'fashion_requests_total{method="POST",path="/predict",status='
        wait_until(lambda: gone in httpx.get(f"{address}/metrics", timeout=60).text)
        assert f'{gone}"499"}} 1.0' in httpx.get(f"{address}/metrics", timeout=60).text
    assert "Traceback" not in caplog.text


def test_one_bad_file_refuses_all_and_nothing_is_logged(client, service):
    files = [("images", ("good.png", png(IMAGES[0]))), ("images", ("bad.png", b"no"))]
    answer = client.post("/predict", files=files)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("bad.png:")
    flush(service)
    assert service.log.count() == 0


ONE = to_lists(IMAGES[0])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"null", "expected"),
        (b"{}", "expected"),
        (b'{"images": []}', "1 to 64 images"),
        (json.dumps({"images": [ONE], "more": 1}).encode(), "nothing else"),
        (json.dumps({"images": ONE}).encode(), "28 rows of 28 pixels"),
        (json.dumps({"images": [ONE[:27]]}).encode(), "images.0: expected 28 rows"),
        (json.dumps({"images": [ONE, [*ONE[:27], ONE[0][:27]]]}).encode(), "images.1: expected 28 rows"),
        (json.dumps({"images": [[*ONE[:27], [256] * 28]]}).encode(), "from 0 to 255"),
        (json.dumps({"images": [[*ONE[:27], [-1] * 28]]}).encode(), "from 0 to 255"),
        (json.dumps({"images": [[*ONE[:27], [0.5] * 28]]}).encode(), "from 0 to 255"),
        (json.dumps({"images": [[*ONE[:27], ["0"] * 28]]}).encode(), "from 0 to 255"),
        (json.dumps({"images": [[*ONE[:27], [10**30] * 28]]}).encode(), "from 0 to 255"),
        (json.dumps({"images": [[*ONE[:27], "a" * 28]]}).encode(), "28 rows of 28 pixels"),
        (json.dumps({"images": [[[[0, 0, 0]] * 28] * 28]}).encode(), "all numbers, or lists of 1 number"),
        (json.dumps({"images": [[*[[[0]] * 28] * 27, [0] * 28]]}).encode(), "all numbers, or lists of 1 number"),
        (json.dumps({"images": [[*ONE[:27], [[0]] * 28]]}).encode(), "from 0 to 255"),
        (json.dumps({"images": [[[[256]] * 28] * 28]}).encode(), "from 0 to 255"),
        (json.dumps({"images": [[[[[0]]] * 28] * 28]}).encode(), "from 0 to 255"),
        (json.dumps({"images": [ONE] * 65}).encode(), "1 to 64 images"),
    ],
)
def test_arrays_that_are_no_images_are_refused_in_words(client, body, words):
    answer = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert words in answer.json()["error"]


def test_what_is_neither_form_nor_json_is_refused(client):
    assert client.post("/predict", content=b"x", headers={"Content-Type": "text/plain"}).status_code == 415
    assert client.post("/predict").status_code == 415
    no_form = client.post("/predict", content=b"x", headers={"Content-Type": "multipart/form-data"})
    assert no_form.status_code == 400
    assert no_form.json()["error"]
    assert client.post("/predict", data={"images": "text"}, files={"other": b"x"}).status_code == 422
    assert client.get("/predict").status_code == 405
    assert client.get("/nothing").json() == {"error": "Not Found"}


def test_too_many_pictures_are_refused(tmp_path):
    service = make_service(tmp_path, limits=Limits(images=2))
    with TestClient(create_app(service), base_url=HERE) as client:
        files = [("images", (f"{number}.png", png(IMAGES[0]))) for number in range(3)]
        answer = client.post("/predict", files=files)
        assert answer.status_code == 400
        assert "Maximum number of files is 2" in answer.json()["error"]


def test_a_body_that_is_too_large_is_refused_whether_its_length_is_told_or_not(tmp_path):
    service = make_service(tmp_path, limits=Limits(body=BodyLimits(bytes=100_000)))
    with TestClient(create_app(service), base_url=HERE) as client:
        content = b"x" * 200_000
        headers = {"Content-Type": "application/json"}
        assert client.post("/predict", content=content, headers=headers).status_code == 413
        pieces = (content[start : start + 1000] for start in range(0, len(content), 1000))
        answer = client.post("/predict", content=pieces, headers=headers)
        assert answer.status_code == 413
        assert "100,000 bytes" in answer.json()["error"]
        form = client.post("/predict", files={"images": ("a.png", content)})
        assert form.status_code == 413


def begin(address, length=100):
    """A connection on which a request has begun whose body does not come."""
    host, port = address.removeprefix("http://").split(":")
    line = socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS)
    kind = "Content-Type: application/json"
    line.sendall(f"POST /predict HTTP/1.1\r\nHost: {host}\r\n{kind}\r\nContent-Length: {length}\r\n\r\n{{".encode())
    return line


def read_all(line):
    return b"".join(iter(lambda: line.recv(1 << 16), b"")).decode()


def test_a_body_that_trickles_is_refused_and_its_connection_closed(tmp_path):
    service = make_service(tmp_path, limits=Limits(requests=1, body=BodyLimits(seconds=0.2)))
    with running(service) as address, closing(begin(address)) as line:
        answer = read_all(line)
        assert answer.startswith("HTTP/1.1 408 ")
        assert "the body did not arrive within 0.2 seconds" in answer
        assert httpx.post(f"{address}/predict", json=arrays(IMAGES), timeout=60).status_code == 200


def test_bodies_that_take_too_much_memory_together_are_refused_until_there_is_room(tmp_path):
    limits = Limits(body=BodyLimits(bytes=1 << 16, bytes_in_all=60_000))
    with running(make_service(tmp_path, limits=limits)) as address:
        ask = partial(httpx.post, f"{address}/predict", json=arrays(IMAGES[:1]), timeout=60)
        with closing(begin(address, length=60_000)) as line:
            line.sendall(b" " * 59_000)
            wait_until(lambda: ask().status_code == 503)
            assert "too much memory" in ask().json()["error"]
        wait_until(lambda: ask().status_code == 200)


def test_more_requests_at_once_than_allowed_are_sent_away_and_health_still_answers(tmp_path):
    service = make_service(tmp_path, limits=Limits(requests=0))
    with TestClient(create_app(service), base_url=HERE) as client:
        answer = ask(client, IMAGES[:1])
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
        assert client.get("/metrics").status_code == 200


def test_with_a_key_only_those_who_know_it_are_answered(tmp_path):
    service = make_service(tmp_path, key="sécret")
    with TestClient(create_app(service), base_url="http://example.org") as client:
        for given in ({}, {"X-API-Key": "wrong"}, {"X-API-Key": ""}):
            assert client.get("/model", headers=given).status_code == 401
            assert client.post("/predict", headers=given).status_code == 401
        assert client.get("/model", headers={b"X-API-Key": "sécret".encode()}).status_code == 200
        for path in ("/", "/page/page.js", "/healthz", "/readyz", "/openapi.json"):
            assert client.get(path).status_code == 200
        assert client.get("/openapi.json").json()["paths"]["/model"]["get"]["security"] == [{"key": []}]


def test_of_images_that_are_large_together_an_answer_has_some_and_seeing_all_is_refused(tmp_path):
    """Thousands of numbers become JSON while nobody else is answered."""
    service = make_service(tmp_path, limits=Limits(values=3 * IMAGES[0].size))
    service.log.write([logs.record(asked=True, model="bands") for _ in range(5)])
    service = replace(service, draw_samples=lambda: [(image, "top") for image in IMAGES[:5]])
    with TestClient(create_app(service), base_url=HERE) as client:
        first = client.get("/wanted").json()
        rest = client.get("/wanted", params={"after": first[-1]["id"]}).json()
        assert (len(first), len(rest)) == (3, 2)
        assert client.get("/samples").json() == [{"image": to_lists(image), "label": "top"} for image in IMAGES[:3]]
        assert client.post("/predict?seen=true", json=arrays(IMAGES[:3])).status_code == 200
        refused = client.post("/predict?seen=true", json=arrays(IMAGES[:4]))
        assert (refused.status_code, refused.json()["error"]) == (
            422,
            "seen=true: expected at most 3 images of this size, found 4",
        )
        assert ask(client, IMAGES[:4]).status_code == 200


def test_without_a_key_neither_foreign_hosts_nor_pages_of_other_sites_are_answered(client):
    assert client.get("/model", headers={"Host": "evil.example"}).status_code == 403
    assert client.post("/feedback", headers={"Origin": "http://evil.example"}).status_code == 403
    assert client.get("/model", headers={"Origin": "null"}).status_code == 403
    assert (
        client.get("/model", headers={"Host": "localhost:8000", "Origin": "http://localhost:8000"}).status_code == 200
    )
    assert client.get("/model", headers={"Host": "[::1]:8000"}).status_code == 200


PROXIED = [
    *({name: "1"} for name in ("X-Forwarded-For", "x-forwarded-proto", "X-Forwarded-Host", "X-Real-IP")),
    {"Forwarded": "for=192.0.2.1"},
    {"Via": "1.1 proxy"},
]


@pytest.mark.parametrize("headers", PROXIED)
def test_without_a_key_nobody_is_answered_through_a_proxy_and_the_words_say_what_to_set(client, headers):
    for path in ("/", "/model", "/readyz"):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 403
        assert "FASHION_SERVE_KEY" in answer.json()["error"]
        assert "FASHION_SERVE_ORIGIN" in answer.json()["error"]


def test_with_a_key_the_page_behind_a_proxy_is_answered_and_no_other(tmp_path):
    """As nginx asks with only `proxy_pass`: the Host is its own address for the service, the Origin is the page's."""
    service = make_service(tmp_path, key="secret", origin="https://fashion.example")
    content = arrays(IMAGES[:1])
    with TestClient(create_app(service), base_url=HERE, headers={"X-Forwarded-For": "192.0.2.1"}) as client:
        for origin, key, status in (
            ("https://fashion.example", "secret", 200),
            ("https://fashion.example", "wrong", 401),
            ("http://fashion.example", "secret", 403),
            ("https://evil.example", "secret", 403),
        ):
            answer = client.post("/predict", json=content, headers={"Origin": origin, "X-API-Key": key})
            assert answer.status_code == status, origin
        assert "FASHION_SERVE_ORIGIN" in answer.json()["error"]


@pytest.mark.parametrize("key", [None, "secret"])
def test_a_request_of_http_1_0_is_a_proxys_and_needs_the_key(tmp_path, key):
    """By its own defaults nginx tells nothing of those who ask it, but speaks HTTP/1.0."""
    with running(make_service(tmp_path, key=key)) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(f"GET /model HTTP/1.0\r\nHost: {host}:{port}\r\nX-API-Key: secret\r\n\r\n".encode())
            answer = connection.makefile("rb").readline()
    assert answer.split()[1] == (b"200" if key else b"403")


def test_head_is_answered_as_get_without_a_body_and_counted_as_head(client):
    for path in ("/", "/page/page.js", "/healthz", "/readyz", "/model", "/samples", "/openapi.json"):
        head, get = client.head(path), client.get(path)
        assert (head.status_code, head.content) == (200, b""), path
        assert dict(head.headers) == dict(get.headers), path
    assert client.head("/predict").status_code == 405
    assert client.head("/nothing").status_code == 404
    assert client.head("/metrics").status_code == 200
    assert 'fashion_requests_total{method="HEAD",path="/metrics",status="200"} 1.0' in client.get("/metrics").text


def test_methods_that_http_does_not_know_are_counted_as_one(client):
    """Uvicorn's parser in Python, that of the service's image, takes any word for one."""
    for number in range(3):
        assert client.request(f"A{number}", "/model").status_code == 405
    assert 'fashion_requests_total{method="other",path="/model",status="405"} 3.0' in client.get("/metrics").text


MALFORMED_HOSTS = (b"[", b"]", b"[::1", b"::1", b"[v1.x]", b"127.0.0.1:x", b"127.0.0.1:123456", b"@127.0.0.1",
                   b"127.0.0.1/x", b"127.0.0.1?x", b"a b", b"\xff", b"")  # fmt: skip


@pytest.mark.parametrize("key", [None, "secret"])
def test_a_host_that_is_no_address_is_a_bad_request(tmp_path, key):
    with TestClient(create_app(make_service(tmp_path, key=key)), base_url=HERE) as client:
        for host in MALFORMED_HOSTS:
            for path in ("/healthz", "/model/"):
                answer = client.get(path, headers={b"Host": host, b"X-API-Key": b"secret"}, follow_redirects=False)
                assert (answer.status_code, "header Host" in answer.json()["error"]) == (400, True), host
        assert client.get("/healthz", headers=[("Host", "127.0.0.1"), ("Host", "localhost")]).status_code == 400


def test_an_origin_that_is_no_address_is_the_page_of_another_site(client):
    for origin in (b"[", b"http://[", b"http://[::1", b"//127.0.0.1", b"http://\xff", b"", b"127.0.0.1"):
        answer = client.get("/model", headers={b"Host": b"127.0.0.1", b"Origin": origin})
        assert answer.status_code == 403, origin


def test_a_form_in_a_character_set_that_is_none_is_refused_in_words(client):
    body = b'--a\r\nContent-Disposition: form-data; name="\xff"; filename="a.png"\r\n\r\nx\r\n--a--\r\n'
    for charset in ("punycode", "undefined", "hex", "no-such", '"'):
        kind = f"multipart/form-data; boundary=a; charset={charset}"
        answer = client.post("/predict", content=body, headers={"Content-Type": kind})
        assert answer.status_code in (400, 422), charset
        assert answer.json()["error"]


def test_without_room_for_a_temporary_file_a_large_picture_is_refused_and_the_others_are_answered(
    client, tmp_path, monkeypatch, caplog
):
    picture = png(IMAGES[0])
    large = picture + bytes(2_000_000)
    assert upload(client, large).status_code == 200
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    refused = upload(client, large)
    assert (refused.status_code, refused.headers.get("Retry-After")) == (503, "5")
    assert refused.json()["error"].startswith("the service has no room for a picture of more than 1 MB")
    assert "No such file" in caplog.text
    assert str(tmp_path) not in refused.text
    assert upload(client, picture).status_code == 200


def test_other_headers_that_are_malformed_change_no_answer(client):
    for name in (b"Range", b"If-Range", b"If-None-Match", b"Accept", b"Cookie", b"Expect"):
        for value in (b"[", b"\xff", b"bytes=x", b"bytes=9-1"):
            answer = client.get("/page/page.js", headers={name: value})
            assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")


def test_a_malformed_path_is_not_found_and_a_malformed_query_is_refused_in_words(client):
    for path in ("/page/%ff", "/page/%00", "/page/%", "/%0d%0aX:1", "/page/%ed%a0%80"):
        assert client.get(path).status_code == 404, path
    for query in ("seen=", "seen=%ff", "seen=x", "seen=%00"):
        assert client.post(f"/predict?{query}", json={}).json()["error"].startswith("query.seen:")


@pytest.mark.advice("export", "serving/server.py")
@pytest.mark.parametrize(("host", "named"), [("0.0.0.0", "0.0.0.0"), ("", "every address")])
def test_beyond_loopback_a_key_is_needed(project, monkeypatch, host, named):
    with pytest.raises(ParamsError, match=rf"At {named} .* export FASHION_SERVE_KEY=\.\.\."):
        serve(project, load_params(project.params), host, 0)
    monkeypatch.setenv("FASHION_SERVE_KEY", "secret")
    with pytest.raises(ServiceError, match="has no champion"):  # The key is no question any more.
        serve(project, load_params(project.params), host, 0)


@pytest.mark.advice("export", "serving/server.py")
def test_behind_a_proxy_a_key_is_needed(project, monkeypatch):
    monkeypatch.setenv("FASHION_SERVE_ORIGIN", "https://fashion.example")
    with pytest.raises(ParamsError, match=r"At https://fashion.example .* export FASHION_SERVE_KEY=\.\.\."):
        serve(project, load_params(project.params), "127.0.0.1", 0)


def test_without_the_key_readiness_says_up_or_down_and_no_address(tmp_path):
    (tmp_path / "blocked").write_text("in the way")
    service = make_service(tmp_path, url=f"sqlite:///{tmp_path}/blocked/log.db", key="secret")
    service.champions.trouble = "No MLflow server answers at http://mlflow.example"
    service.champions.registry_up = False
    with TestClient(create_app(service), base_url=HERE) as client:
        ask(client, IMAGES[:1], headers={"X-API-Key": "secret"})
        wait_until(lambda: client.get("/readyz").json()["log"] != "up")
        for given in ({}, {"X-API-Key": "wrong"}):
            state = client.get("/readyz", headers=given).json()
            assert (state["registry"], state["log"]) == ("down", "down")
        state = client.get("/readyz", headers={"X-API-Key": "secret"}).json()
        (tmp_path / "blocked").unlink()  # Or the end would wait for the log.
        assert "mlflow.example" in state["registry"]
        assert "FASHION_PREDICTIONS_URL" in state["log"]


def test_a_taken_port_and_a_missing_champion_are_clear_errors(project):
    params = load_params(project.params)
    with pytest.raises(ServiceError, match="has no champion"):
        serve(project, params, "127.0.0.1", 0)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ServiceError, match="fashion serve --port"):
        serve(project, params, "127.0.0.1", taken.getsockname()[1])


def test_a_host_that_cannot_be_one_is_refused_in_words(project, monkeypatch):
    monkeypatch.setenv("FASHION_SERVE_KEY", "secret")
    for host in ("no-such-host.invalid", "ä" * 100, "a..b"):
        with pytest.raises(ServiceError, match="cannot listen on"):
            serve(project, load_params(project.params), host, 0)


def correct(client, prediction_id, label, **more):
    return client.post("/feedback", json={"prediction_id": prediction_id, "label": label, **more})


def test_feedback_is_taken_at_once_and_the_newest_counts(client, service):
    prediction_id = ask(client, IMAGES[:1]).json()["predictions"][0]["id"]
    first = correct(client, prediction_id, "lower")
    assert first.status_code == 200
    assert first.json() == {"prediction_id": prediction_id, "label": "lower", "previous": None}
    flush(service)
    assert correct(client, prediction_id, "top", source="an expert").json()["previous"] == "lower"
    assert list(service.log.read_window().labels) == [0]
    found = service.log.read_labels(FORM.shape, model=Model(service.name, ("upper", "top")))
    assert list(found["label"]) == [1]  # By its name, whichever number it has for others.


def test_the_label_that_counted_before_is_named_as_it_was_given(client, service):
    ids = [one["id"] for one in ask(client, IMAGES[:3]).json()["predictions"]]
    flush(service)
    for one, (number, name) in zip(ids, ((0, "hat"), (3, None), (9, None)), strict=True):
        service.log.add_label(one, number, "another champion", name)
    before = [correct(client, one, "top").json()["previous"] for one in ids]
    assert before == ["hat", "lower", None]


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"prediction_id": new_id()}, 404, "no prediction"),
        ({"prediction_id": "x"}, 422, "prediction_id"),
        ({"prediction_id": "\0" * 36}, 422, "prediction_id"),
        ({"label": "hat"}, 422, "expected one of top, upper"),
        ({"label": 3}, 422, "label"),
        ({"source": "a\nb"}, 422, "source"),
        ({"more": 1}, 422, "more"),
    ],
)
def test_feedback_that_cannot_be_meant_is_refused(client, change, status, words):
    prediction_id = ask(client, IMAGES[:1]).json()["predictions"][0]["id"]
    answer = client.post("/feedback", json={"prediction_id": prediction_id, "label": "top"} | change)
    assert answer.status_code == status
    assert words in answer.json()["error"]


def test_while_the_log_is_away_requests_go_on_and_losses_are_counted(tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("in the way")
    service = make_service(tmp_path, url=f"sqlite:///{blocked}/log.db", capacity=15)
    with TestClient(create_app(service), base_url=HERE) as client:
        first = ask(client, IMAGES).json()["predictions"][0]["id"]
        assert ask(client, IMAGES).status_code == 200
        assert correct(client, new_id(), "top").status_code == 503
        wait_until(lambda: client.get("/readyz").json()["log"] != "up")
        state = client.get("/readyz").json()
        assert "FASHION_PREDICTIONS_URL" in state["log"]
        assert (state["log_waiting"], state["log_lost"]) == (15, 5)
        assert figure(client, "fashion_log_up") == 0
        blocked.unlink()
        flush(service)
        assert correct(client, first, "top").status_code == 200
        assert figure(client, "fashion_log_written_total") == 15
        assert figure(client, "fashion_log_lost_total") == 5
        assert client.get("/readyz").json()["log"] == "up"


class Stuck(PredictionLog):
    """A log that says nothing until it is released, and then that it is away."""

    def __init__(self, url):
        super().__init__(url)
        self.released, self.asked, self.away = threading.Event(), 0, True

    def knows(self, prediction_id):
        self.asked += 1
        self.released.wait()
        if self.away:
            raise ServiceError("The prediction log is away")
        return super().knows(prediction_id)


def test_labels_that_wait_for_a_log_that_says_nothing_keep_no_prediction_waiting(tmp_path, monkeypatch):
    for seconds in ("PATIENCE_SECONDS", "RETRY_SECONDS"):  # However slow this machine is.
        monkeypatch.setattr(f"fashion.serving.labels.{seconds}", 3600.0)
    service = make_service(tmp_path, limits=Limits(requests=6, labels=3))
    log = Stuck(f"sqlite:///{tmp_path}/stuck.db")
    with TestClient(create_app(replace(service, log=log)), base_url=HERE) as client, ThreadPoolExecutor(3) as callers:
        waiting = [callers.submit(correct, client, new_id(), "top") for _ in range(3)]
        wait_until(lambda: log.asked == 3)
        refused = correct(client, new_id(), "top")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert [ask(client, IMAGES[:1]).status_code for _ in range(8)] == [200] * 8
        flush(service)  # Predictions that are written later would say that the log is back.
        log.released.set()
        assert {one.result().status_code for one in waiting} == {503}
        answer = correct(client, new_id(), "top")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert "is away" in answer.json()["error"]
        assert log.asked == 3  # It is known to be away.


def test_a_log_that_is_back_is_found_by_a_label_after_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr("fashion.serving.labels.RETRY_SECONDS", 3600.0)
    log, recorder = Stuck(f"sqlite:///{tmp_path}/stuck.db"), make_service(tmp_path).recorder
    log.released.set()
    labels = Labels(log, recorder)
    for _ in range(2):
        with pytest.raises(ServiceError, match="is away"):
            asyncio.run(labels.write(new_id(), Label(0, "top"), "test"))
    assert log.asked == 1
    log.away, labels._try_at = False, 0
    for _ in range(2):
        with pytest.raises(HTTPException, match="no prediction"):
            asyncio.run(labels.write(new_id(), Label(0, "top"), "test"))
    assert log.asked == 3
    recorder.close()


def test_a_log_that_never_answers_a_label_is_away(tmp_path, monkeypatch):
    monkeypatch.setattr("fashion.serving.labels.PATIENCE_SECONDS", 0.01)
    log = Stuck(f"sqlite:///{tmp_path}/stuck.db")
    with TestClient(create_app(replace(make_service(tmp_path), log=log)), base_url=HERE) as client:
        for _ in range(2):
            answer = correct(client, new_id(), "top")
            assert (answer.status_code, "did not answer" in answer.json()["error"]) == (503, True)
        assert log.asked == 1
    log.released.set()


def test_a_label_that_has_no_turn_is_refused_before_long(tmp_path, monkeypatch):
    monkeypatch.setattr("fashion.serving.labels.AT_ONCE", 1)
    monkeypatch.setattr("fashion.serving.labels.TURN_SECONDS", 0.05)
    log, recorder = Stuck(f"sqlite:///{tmp_path}/stuck.db"), make_service(tmp_path).recorder
    log.away = False

    async def main():
        labels = Labels(log, recorder)
        first = asyncio.create_task(labels.write(new_id(), Label(0, "top"), "test"))
        await asyncio.sleep(0)  # It has the only turn.
        with pytest.raises(ServiceError, match="Too many labels wait"):
            await labels.write(new_id(), Label(0, "top"), "test")
        log.released.set()
        with pytest.raises(HTTPException, match="no prediction"):
            await first
        with pytest.raises(HTTPException, match="no prediction"):  # The log was there all the time.
            await labels.write(new_id(), Label(0, "top"), "test")

    asyncio.run(asyncio.wait_for(main(), PATIENCE_SECONDS))
    recorder.close()


def test_many_threads_make_the_tables_of_a_log_at_once(tmp_path):
    log = PredictionLog(f"sqlite:///{tmp_path}/log.db")
    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(lambda _: log.count(), range(8))) == 0
    log.close()


def test_what_waits_is_written_at_shutdown(tmp_path):
    service = make_service(tmp_path)
    with TestClient(create_app(service), base_url=HERE) as client:
        for _ in range(20):
            ask(client, IMAGES)
    log = PredictionLog(f"sqlite:///{tmp_path}/log.db")
    assert log.count() == 200
    assert service.recorder.lost == 0


def record(probability=1):
    return Record(
        id=new_id(),
        time=datetime.now(UTC),
        model_version="1",
        image=IMAGES[0],
        probabilities=np.full(5, probability, np.float32),
        embedding=np.ones(4, np.float32),
        reason=None,
    )


def test_what_cannot_be_written_before_the_end_is_lost_and_said(tmp_path, caplog):
    (tmp_path / "blocked").write_text("in the way")
    recorder = Recorder(PredictionLog(f"sqlite:///{tmp_path}/blocked/log.db"), Retention(90, 100, pictures=0))
    recorder.add([record() for _ in range(3)])
    recorder.close(seconds=0.5)
    assert recorder.lost == 3
    assert "3 predictions are lost" in caplog.text


def test_predictions_that_the_database_refuses_are_lost_alone_and_block_no_others(tmp_path, caplog):
    log = PredictionLog(f"sqlite:///{tmp_path}/log.db")
    recorder = Recorder(log, Retention(90, 100, pictures=0))
    valid = [place not in (0, 7, 8) for place in range(11)]
    records = [record(1 if one else np.nan) for one in valid]  # SQLite takes no NaN.
    recorder.add(records)
    wait_until(lambda: not recorder.waiting)
    recorder.close()
    assert (recorder.written, recorder.lost, recorder.trouble) == (8, 3, None)
    assert [log.knows(one.id) for one in records] == valid
    assert "3 of these 11 predictions are lost" in caplog.text
    assert caplog.text.count("ERROR") == 2


def test_predictions_that_wait_are_bounded_by_the_memory_that_they_take_whatever_the_size_of_the_images(
    tmp_path, monkeypatch
):
    one = record()
    size = one.image.nbytes + one.probabilities.nbytes + one.embedding.nbytes
    monkeypatch.setattr("fashion.serving.recorder.MOST_BYTES", 2 * size)
    (tmp_path / "log.db").mkdir()
    recorder = Recorder(PredictionLog(f"sqlite:///{tmp_path}/log.db"), Retention(90, 100, pictures=0))
    recorder.add([record() for _ in range(5)])
    wait_until(lambda: recorder.trouble)
    assert (recorder.waiting, recorder.lost) == (2, 3)
    (tmp_path / "log.db").rmdir()
    wait_until(lambda: recorder.written == 2)
    recorder.add([record() for _ in range(2)])  # There is room again.
    wait_until(lambda: recorder.written == 4)
    recorder.close()
    assert recorder.lost == 3


def test_the_shares_of_requests_and_log_in_the_end_leave_two_seconds_of_five():
    """`python -m benchmarks.soak` measures what becomes of it."""
    assert DRAIN_SECONDS + CLOSE_SECONDS <= 3


class Silent(PredictionLog):
    """A log whose database takes rows and never says a word; at the end of the test it is let go."""

    def __init__(self, url):
        super().__init__(url)
        self.asked, self.released = threading.Event(), threading.Event()

    def write(self, records):
        self.asked.set()
        self.released.wait()


@pytest.fixture
def silent(tmp_path):
    log = Silent(f"sqlite:///{tmp_path}/silent.db")
    yield log
    log.released.set()


def test_a_database_that_says_nothing_is_left_at_the_end_and_the_loss_is_said(silent, caplog):
    recorder = Recorder(silent, Retention(90, 100, pictures=0))
    recorder.add([record() for _ in range(3)])
    silent.asked.wait()
    recorder.close(seconds=0.1)
    assert (recorder.lost, recorder.written) == (3, 0)
    assert "3 predictions are lost: the prediction log does not answer" in caplog.text


def test_a_database_that_says_nothing_counts_as_away_after_a_while(silent, monkeypatch):
    recorder = Recorder(silent, Retention(90, 100, pictures=0))
    recorder.add([record()])
    silent.asked.wait()
    assert recorder.trouble is None
    monkeypatch.setattr("fashion.serving.recorder.STUCK_SECONDS", 0)
    assert "has not answered" in recorder.trouble
    silent.released.set()
    wait_until(lambda: recorder.written == 1)
    assert recorder.trouble is None
    recorder.close()


def test_those_who_ask_for_a_look_while_one_is_under_way_share_the_next(tmp_path):
    first = make_champion(tmp_path, "1")
    begun, released, looks = threading.Event(), threading.Event(), []

    def find():
        looks.append(1)
        begun.set()
        released.wait()
        return first

    async def main():
        champions = Champions(find, first)
        looking = [asyncio.create_task(champions.look())]
        await asyncio.to_thread(begun.wait)
        looking += [asyncio.create_task(champions.look()) for _ in range(300)]
        await asyncio.sleep(0)
        looking[5].cancel()
        released.set()
        ends = await asyncio.gather(*looking, return_exceptions=True)
        champions.current.retire()
        return ends

    ends = asyncio.run(main())
    assert sum(end is None for end in ends) == 300
    assert len(looks) == 2


def test_a_registry_that_says_nothing_lets_no_refresh_wait_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr("fashion.serving.app.LOOK_SECONDS", 0.05)
    service, released = make_service(tmp_path), threading.Event()
    service.champions._find = released.wait
    with TestClient(create_app(service), base_url=HERE) as client:
        answer = client.post("/model/refresh")
        assert (answer.status_code, "has not answered" in answer.json()["error"]) == (503, True)
        released.set()


def test_the_service_ends_though_registry_and_log_say_nothing(tmp_path, silent, monkeypatch, caplog):
    monkeypatch.setattr(Recorder.close, "__defaults__", (0.1,))
    silent.knows = silent.write
    service = make_service(tmp_path)
    service.recorder.close()
    service = replace(service, log=silent, recorder=Recorder(silent, Retention(90, 100, pictures=0)))
    asked = threading.Event()

    def find():
        asked.set()
        silent.released.wait()

    service.champions._find = find
    with ThreadPoolExecutor(2) as callers:
        with running(service, drain_seconds=1) as address:
            assert httpx.post(f"{address}/predict", json=arrays(IMAGES), timeout=60).status_code == 200
            silent.asked.wait()
            cut_off = callers.submit(httpx.post, f"{address}/model/refresh", timeout=60)
            asked.wait()
        assert not silent.released.is_set()
        answer = cut_off.result()
        assert (answer.status_code, answer.json()) == (503, {"error": "the service is shutting down"})
        assert "Traceback" not in caplog.text
        assert "10 predictions are lost" in caplog.text
        silent.released.set()


def test_old_predictions_are_removed_by_number(tmp_path):
    log = PredictionLog(f"sqlite:///{tmp_path}/log.db")
    log.write([record() for _ in range(10)])
    recorder = Recorder(log, Retention(90, 4, pictures=0))
    wait_until(lambda: log.count() == 4)
    recorder.close()


def test_predictions_are_written_while_old_ones_are_removed_which_stops_at_the_end(tmp_path, monkeypatch):
    log = PredictionLog(f"sqlite:///{tmp_path}/log.db")
    log.write([record() for _ in range(20)])
    really_remove, new, written, ends = retention._remove_some, [record() for _ in range(3)], [], []

    def remove_some(*arguments):
        written.append(recorder.written)
        recorder.add(new[len(written) - 1 : len(written)])
        if len(written) == len(new):
            ends.append(closers.submit(recorder.close, PATIENCE_SECONDS))
            recorder._closing.wait()
        return really_remove(*arguments)

    monkeypatch.setattr(retention, "AT_ONCE", 1)
    monkeypatch.setattr(retention, "_remove_some", remove_some)
    with ThreadPoolExecutor() as closers:
        recorder = Recorder(log, Retention(90, 1, pictures=0))
        wait_until(lambda: ends)
        ends[0].result()
    assert (written, recorder.lost, log.count()) == ([0, 1, 2], 0, 20)
    assert all(log.knows(one.id) for one in new)


def test_labelled_predictions_that_nobody_has_collected_are_kept_and_shown(tmp_path):
    service = make_service(tmp_path)
    with TestClient(create_app(service), base_url=HERE) as client:
        ids = [one["id"] for one in ask(client, IMAGES[:5]).json()["predictions"]]
        flush(service)
        for one in ids[:2]:
            correct(client, one, "top")
        service.recorder._retention = Retention(90, 1, pictures=0)
        service.recorder._forget()
        assert service.log.count() == 3
        assert (figure(client, "fashion_log_kept"), figure(client, "fashion_log_labels_lost_total")) == (2, 0)
        assert correct(client, ids[2], "top").status_code == 404


def test_keeping_predictions_for_a_hundred_years_stops_nothing(tmp_path):
    log = PredictionLog(f"sqlite:///{tmp_path}/log.db")
    recorder = Recorder(log, Retention(36_500, 10**12, pictures=0))
    recorder.add([record() for _ in range(3)])
    wait_until(lambda: recorder.written == 3)
    recorder.close()
    assert (recorder.lost, log.count()) == (0, 3)


def test_when_old_predictions_cannot_be_removed_new_ones_are_written_all_the_same(tmp_path, caplog, monkeypatch):
    """For a reason of which nobody has thought."""

    def never(*_):
        raise ValueError("a bug")

    monkeypatch.setattr("fashion.serving.recorder.forget", never)
    log = PredictionLog(f"sqlite:///{tmp_path}/log.db")
    recorder = Recorder(log, Retention(90, 4, pictures=0))
    wait_until(lambda: "Old predictions cannot be removed" in caplog.text)
    recorder.add([record() for _ in range(3)])
    wait_until(lambda: recorder.written == 3)
    recorder.close()
    assert (recorder.lost, log.count()) == (0, 3)


def test_the_model_says_where_it_comes_from(client):
    content = client.get("/model").json()
    assert (content["version"], content["classes"], content["image_size"]) == ("1", list(CLASSES), list(SIZE))
    assert content["tags"] == {"gates": "passed", "git_commit": "abc"}
    assert content["abstention"] == {"confidence": 0.25, "distance": 0.5}


def test_readiness_and_figures(client):
    ask(client, IMAGES[:2])
    assert client.get("/healthz").json() == {"healthy": True}
    state = client.get("/readyz").json()
    assert (state["ready"], state["version"], state["registry"], state["log"]) == (True, "1", "up", "up")
    text = client.get("/metrics").text
    assert 'fashion_requests_total{method="POST",path="/predict",status="200"} 1.0' in text
    assert 'fashion_predictions_total{predicted="upper",version="1"} 1.0' in text
    assert 'fashion_champion{version="1"} 1.0' in text


def test_the_page_loads_nothing_from_elsewhere(client):
    page = client.get("/")
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self'")
    for path in ("/page/style.css", "/page/page.js"):
        assert path in page.text
        assert "://" not in client.get(path).text
    assert client.get("/page/nothing").status_code == 404
    assert client.get("/page/..%2Fapp.py").status_code == 404


class Registry:
    """Names a champion, or raises."""

    def __init__(self, found):
        self.found = found

    def __call__(self) -> Found:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def test_no_request_fails_and_each_is_answered_by_one_version_while_champions_come_and_go(tmp_path):
    versions = [make_champion(tmp_path, number) for number in ("1", "2")]
    registry = Registry(versions[0])
    champions = Champions(registry, versions[0])
    before = threading.active_count()

    async def ask_again_and_again(done, seen):
        while not done.is_set():
            with champions.current.used() as served:
                number = served.version.number
                await asyncio.sleep(0)
                answers = await served.ask(IMAGES[:3], np.zeros(3, np.bool_))
                assert list(answers.probabilities.argmax(axis=1)) == [0, 1, 2]
            seen.add(number)

    async def main():
        done, seen = asyncio.Event(), set()
        askers = [asyncio.create_task(ask_again_and_again(done, seen)) for _ in range(8)]
        for swap in range(20):
            registry.found = versions[(swap + 1) % 2]
            await champions.look()
        done.set()
        await asyncio.gather(*askers)
        return seen

    assert asyncio.run(main()) == {"1", "2"}
    assert champions.swaps == 20
    wait_until(lambda: threading.active_count() <= before + 2)  # Those of the loop's own executor may still be there.
    champions.current.retire()


def test_a_version_of_the_same_number_from_a_registry_that_was_made_anew_takes_over(tmp_path):
    first, other = (make_champion(tmp_path / name, "1") for name in ("first", "other"))
    other = replace(other, version=replace(other.version, identity="1-other"))
    registry = Registry(first)
    champions = Champions(registry, first)
    asyncio.run(champions.look())
    assert champions.swaps == 0
    registry.found = other
    asyncio.run(champions.look())
    assert (champions.swaps, champions.current.champion) == (1, other.champion)
    champions.current.retire()


def test_without_the_registry_the_version_in_use_stays_even_if_an_older_one_is_remembered(tmp_path):
    older, newer = (make_champion(tmp_path, number) for number in ("1", "2"))
    registry = Registry(newer)
    champions = Champions(registry, newer)
    registry.found = replace(older, trouble="No MLflow server answers")
    asyncio.run(champions.look())
    assert (champions.current.version.number, champions.registry_up) == ("2", False)
    assert champions.trouble == "No MLflow server answers"
    champions.current.retire()


def test_a_damaged_or_missing_successor_leaves_the_champion_where_it_is(tmp_path, caplog):
    first, damaged = make_champion(tmp_path, "1"), make_champion(tmp_path, "2")
    damaged.champion.model.write_bytes(b"no model")
    registry = Registry(first)
    champions = Champions(registry, first)
    for found, words, registry_up in [
        (damaged, "cannot be run by LiteRT", True),
        (ServiceError("No MLflow server answers"), "No MLflow server", False),
        (KeyError("a library's own"), "KeyError", False),
    ]:
        registry.found = found
        asyncio.run(champions.look())
        assert champions.registry_up is registry_up
        assert champions.current.version.number == "1"
        assert words in champions.trouble
        assert words in caplog.text
    registry.found = first
    asyncio.run(champions.look())
    assert champions.trouble is None
    champions.current.retire()


def test_a_registry_that_names_no_champion_any_more_is_not_away(tmp_path):
    service = make_service(tmp_path)
    registry = Registry(replace(service.champions._find(), trouble="bands has no champion", absent=True))
    service.champions._find = registry
    with TestClient(create_app(service), base_url=HERE) as client:
        state = client.post("/model/refresh").json()
        assert (state["version"], state["registry"], state["champion"]) == ("1", "up", "bands has no champion")
        assert (figure(client, "fashion_registry_up"), figure(client, "fashion_champion_current")) == (1, 0)
        registry.found = replace(registry.found, trouble="No MLflow server answers", absent=False)
        state = client.post("/model/refresh").json()
        assert (state["registry"], state["champion"]) == ("No MLflow server answers", "unknown")
        assert (figure(client, "fashion_registry_up"), figure(client, "fashion_champion_current")) == (0, 0)
        registry.found = replace(registry.found, trouble=None)
        state = client.post("/model/refresh").json()
        assert (state["registry"], state["champion"]) == ("up", "current")
        assert (figure(client, "fashion_registry_up"), figure(client, "fashion_champion_current")) == (1, 1)


def test_a_champion_whose_classes_do_not_fit_is_refused(tmp_path):
    found = make_champion(tmp_path, "1")
    with pytest.raises(ArtifactError, match="5 probabilities for 2 classes"):
        Served(replace(found, champion=replace(found.champion, classes=("a", "b"))))


def test_a_model_that_fails_answers_500_and_goes_on(client, service, monkeypatch):
    def fail(*_):
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="a bug"):
        patch.setattr(Batches, "_run", fail)
        ask(client, IMAGES[:1])
    assert ask(client, IMAGES[:1]).status_code == 200
