"""The picture that was sent: what of it is kept beside the input, and what is not."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image
from starlette.testclient import TestClient

from fashion.adapters.decoding import LONGEST, read_picture
from fashion.adapters.keeping import LOSSLESS_PIXELS, MOST_BYTES, encode_picture, media_type
from fashion.adapters.predictions import Retention, read_pictures
from fashion.images.photos import Form, see
from fashion.images.synthetic import draw
from fashion.params import PicturesParams
from fashion.paths import Project
from fashion.serving.app import create_app
from fashion.serving.decoding import Pictures
from fashion.serving.keys import Keys, Right, add_key, keys_file
from tests.logs import record
from tests.servers import wait_until
from tests.services import FORM, IMAGES, make_service

HERE = "http://127.0.0.1"
SECRET = "taken at 52.5 N"
RANDOM = np.random.default_rng(0)
COLOUR = Form((32, 32), PicturesParams(channels=3, isolate=False, fit="pad", ground=255))
GREY = Form((32, 32), PicturesParams(channels=1, isolate=False, fit="crop", ground=0))


@pytest.fixture
def service(tmp_path):
    return replace(make_service(tmp_path), asked_share=1.0)


@pytest.fixture
def client(service):
    with TestClient(create_app(service), base_url=HERE) as client:
        yield client


def file_of(pixels, kind="PNG", **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def decode(content):
    return read_picture(io.BytesIO(content), "kept").pixels


def photograph(size=(640, 427)):
    """The photograph of a temple in China that comes with scikit-learn."""
    return np.asarray(Image.fromarray(load_sample_image("china.jpg")).resize(size, Image.Resampling.LANCZOS))


def with_metadata():
    """A photograph that lies on its side, with GPS, a comment, a profile and a thumbnail's worth of words."""
    exif = Image.Exif()
    exif[0x0112] = 6  # Turn by 90 degrees to see it upright.
    exif[0x010E] = SECRET
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 0.0), 29: SECRET})
    return file_of(photograph((1600, 1200)), "JPEG", exif=exif, comment=SECRET.encode(), icc_profile=SECRET.encode())


def kept(client, service, *contents):
    """Send pictures; those in the log, in their order."""
    files = [("images", (f"{number}.png", content)) for number, content in enumerate(contents)]
    answer = client.post("/predict", files=files)
    assert answer.status_code == 200, answer.text
    ids = [one["id"] for one in answer.json()["predictions"]]
    wait_until(lambda: not service.recorder.waiting)
    return [picture for picture in read_pictures(service.log, ids) if picture]


def test_a_photograph_is_kept_upright_small_and_without_what_the_camera_wrote(client, service):
    sent = with_metadata()
    assert sent.count(SECRET.encode()) >= 3
    (picture,) = kept(client, service, sent)
    assert SECRET.encode() not in picture
    with Image.open(io.BytesIO(picture)) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (300, LONGEST))
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        assert not image.getexif()
        found = np.asarray(image).astype(int)
    upright = np.asarray(Image.fromarray(photograph()).resize((400, 300)).rotate(-90, expand=True)).astype(int)
    assert np.abs(found - upright).mean() < 6


def test_grey_and_transparent_pictures_come_back_as_they_were(client, service):
    grey = np.kron(IMAGES[1, ..., 0], np.ones((10, 10), np.uint8))
    clear = np.dstack([np.full((300, 200, 3), (200, 30, 60), np.uint8), np.zeros((300, 200), np.uint8)])
    clear[100:200, 50:150, 3] = 255
    jpeg, webp = kept(client, service, file_of(grey, "JPEG", quality=95), file_of(clear))
    assert [media_type(one) for one in (jpeg, webp)] == ["image/jpeg", "image/webp"]
    assert decode(jpeg).shape == grey.shape
    assert np.abs(decode(jpeg).astype(int) - grey).mean() < 2
    np.testing.assert_array_equal(decode(webp)[..., 3], clear[..., 3])
    assert np.abs(decode(webp)[120:180, 70:130, :3].astype(int) - (200, 30, 60)).max() < 12


@pytest.mark.parametrize("form", [FORM, GREY, COLOUR], ids=["isolated", "grey", "colour"])
def test_of_a_small_picture_the_input_can_be_made_again_exactly(form):
    grey, _ = draw(5, 5, (28, 28), seed=1)
    colour, _ = draw(5, 5, (60, 90), seed=2, channels=3)
    clear = np.dstack([colour[0], np.arange(60 * 90).reshape(60, 90) % 256]).astype(np.uint8)
    for pixels in (*grey[..., 0], *colour, clear, photograph((128, 128))):
        np.testing.assert_array_equal(see(decode(encode_picture(pixels)), form).image, see(pixels, form).image)


@pytest.mark.parametrize("form", [FORM, GREY, COLOUR], ids=["isolated", "grey", "colour"])
def test_of_a_large_picture_the_input_can_be_made_again_nearly(form):
    drawn, _ = draw(1, 5, (280, 280), seed=1)
    for pixels in (photograph((400, 267)), drawn[0, ..., 0]):
        again, before = (see(one, form).image.astype(int) for one in (decode(encode_picture(pixels)), pixels))
        assert np.abs(again - before).mean() < 1


@pytest.mark.parametrize("channels", [(), (3,), (4,)])
@pytest.mark.parametrize("side", [1, 127, LONGEST])
def test_whatever_a_picture_shows_it_is_small_or_left_out(side, channels):
    noise = RANDOM.integers(0, 256, (side, side, *channels), np.uint8)
    content = encode_picture(noise)
    if (side, channels) == (LONGEST, (4,)):
        assert content is None
    else:
        assert len(content) <= MOST_BYTES
        assert decode(content).shape[:2] == (side, side)


def test_of_a_picture_that_a_model_sees_in_large_a_small_one_is_kept():
    assert decode(encode_picture(photograph((600, 450)))).shape == (300, LONGEST, 3)


def test_transparency_that_hides_nothing_is_not_kept():
    opaque = np.dstack([photograph((400, 267)), np.full((267, 400), 255, np.uint8)])
    assert encode_picture(opaque) == encode_picture(opaque[..., :3])
    assert LOSSLESS_PIXELS < 267 * 400


def test_an_array_has_no_picture(client, service):
    answer = client.post("/predict", json={"images": IMAGES[:2, ..., 0].tolist()}).json()
    wait_until(lambda: not service.recorder.waiting)
    assert not any(read_pictures(service.log, [one["id"] for one in answer["predictions"]]))
    assert [one["has_picture"] for one in client.get("/wanted").json()] == [False, False]


def test_the_off_switch_keeps_none_and_removes_those_that_are_there(tmp_path):
    service = make_service(tmp_path)
    service = replace(service, pictures=Pictures(kept=False), asked_share=1.0)
    service.log.write([before := record(picture=b"before")])
    with TestClient(create_app(service), base_url=HERE) as client:
        assert kept(client, service, file_of(IMAGES[0, ..., 0])) == []
        service.recorder._retention = Retention(90, 1000, pictures=0)
        service.recorder._forget()
        assert list(read_pictures(service.log, [before.id])) == [None]
        assert service.log.count() == 2


def test_a_picture_that_cannot_be_encoded_costs_no_answer_and_no_prediction(client, service, monkeypatch, caplog):
    def fail(_):
        raise OSError("encoder error -2")

    monkeypatch.setattr("fashion.serving.requests.encode_picture", fail)
    assert kept(client, service, file_of(IMAGES[0, ..., 0])) == []
    assert service.log.count() == 1
    assert "0.png: the picture cannot be kept" in caplog.text
    assert "encoder error -2" in caplog.text


def test_predictions_wait_without_their_pictures_once_those_take_too_much_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("fashion.serving.recorder.MOST_PICTURE_BYTES", 2500)
    (tmp_path / "log.db").mkdir()
    service = make_service(tmp_path)
    records = [record(picture=bytes(1000)) for _ in range(4)]
    service.recorder.add(records)
    wait_until(lambda: service.recorder.trouble)
    assert (service.recorder.waiting, service.recorder.pictures_lost) == (4, 2)
    (tmp_path / "log.db").rmdir()
    wait_until(lambda: service.recorder.written == 4)
    service.recorder.add(later := [record(picture=bytes(2000))])  # There is room again.
    wait_until(lambda: not service.recorder.waiting)
    ids = [one.id for one in (*records, *later)]
    assert [place for place, picture in enumerate(read_pictures(service.log, ids)) if picture] == [0, 1, 4]
    assert (service.recorder.lost, service.recorder.pictures_lost) == (0, 2)
    service.recorder.close()


def test_who_labels_is_shown_the_picture_and_who_may_not_label_is_not(tmp_path):
    home = Project(tmp_path)
    labels, asks = (add_key(home, name, [right]) for name, right in (("l", Right.FEEDBACK), ("a", Right.PREDICT)))
    service = replace(make_service(tmp_path, keys=Keys(keys_file(home), "all")), asked_share=1.0)
    with TestClient(create_app(service), base_url=HERE, headers={"X-API-Key": "all"}) as client:
        (picture,) = kept(client, service, with_metadata())
        (one,) = client.get("/wanted").json()
        assert one["has_picture"]

        def look(key, **query):
            return client.get("/wanted/picture", params=query or {"id": one["id"]}, headers={"X-API-Key": key})

        assert [look(key).status_code for key in (asks, "", labels)] == [403, 401, 200]
        shown = look(labels)
        assert shown.content == picture
        expected = {"content-type": "image/jpeg", "x-content-type-options": "nosniff", "cache-control": "no-store"}
        assert expected.items() <= dict(shown.headers).items()
        assert [look(labels, id="../../etc").status_code, look(labels, id=record().id).status_code] == [422, 404]
        told = {"prediction_id": one["id"], "label": "top"}
        assert client.post("/feedback", json=told).status_code == 200
        assert look(labels).status_code == 404
