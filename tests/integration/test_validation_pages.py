"""The pages about a validation: they open without a network, and say why."""

import json
import re

import pytest

from fashion.adapters.quality import Finding
from fashion.params import load_params
from fashion.stages.validate import validate
from fashion.stages.validation_pages import write_docs

HOSTS = re.compile(r"""(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//""")
HOSTILE = "<script>alert(1)</script> & 'x'"


def finding(**changes):
    known = {
        "suite": "images",
        "part": "images",
        "expectation": "expect_column_values_to_be_in_set",
        "kwargs": {"column": "label", "value_set": list(range(256))},
        "on_breach": "quarantine",
        "reason": "its label is not a class",
        "success": True,
        "observed": 0,
        "rows": (),
    }
    return Finding(**known | changes)


@pytest.fixture
def pages(tmp_path):
    """A suite of the published images, and a batch with a name that needs care."""
    good, bad = finding(), finding(success=False, rows=(3, 4), reason=HOSTILE)
    batch = finding(suite="batch", part="50% #1 <b>", on_breach="fail", success=False, observed=None)
    write_docs(tmp_path, "Some images.", [good, bad, batch], fit=False)
    return tmp_path


def test_every_suite_is_listed_and_each_page_says_why_and_loads_nothing(small_project):
    validate(small_project, load_params(small_project.params))
    docs = small_project.validation / "docs"
    index = (docs / "index.html").read_text()
    assert "the data are fit" in index
    for name in ("images", "train", "test"):
        page = (docs / f"{name}.html").read_text()
        suite = json.loads((small_project.expectations / f"{name}.json").read_text())
        assert f'href="{name}.html"' in index
        assert all(one["meta"]["reason"] in page.replace("&#39;", "'") for one in suite["expectations"])
    assert not [path for path in docs.rglob("*.html") if HOSTS.search(path.read_text())]
    assert (docs / "../quarantine.png").is_file()


def test_what_is_breached_stands_first_with_what_was_found(pages):
    page = (pages / "images.html").read_text()
    assert page.index("breached") < page.index(">met<")
    assert "2 images" in page
    assert "0, 1, 2" in page
    assert "(256 in all)" in page
    assert "255" not in page


def test_limits_that_no_person_has_chosen_say_from_what_they_were_derived(tmp_path):
    write_docs(tmp_path, "Some images.", [finding(derived="by fashion import from birds: as the data are")], fit=True)
    page = (tmp_path / "images.html").read_text()
    assert "The limits were derived by fashion import from birds: as the data are." in page
    write_docs(tmp_path, "Some images.", [finding()], fit=True)
    assert "derived" not in (tmp_path / "images.html").read_text()


def test_hostile_names_and_reasons_are_shown_as_they_are_written(pages):
    (batch,) = (pages / "batches").rglob("index.html")
    assert "<script>" not in (pages / "images.html").read_text()
    assert "50% #1 &lt;b&gt;" in batch.read_text()
    assert 'href="batches/50%25%20%231%20%3Cb%3E/index.html"' in (pages / "index.html").read_text()
    assert 'href="../../index.html"' in batch.read_text()
    assert "no finite number" in batch.read_text()
