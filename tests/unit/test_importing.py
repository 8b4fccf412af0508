"""What happens around the import of a heavy library."""

import gc
import os
from pathlib import Path

import pytest

from fashion.importing import cache_that_goes, heavy_imports


@pytest.fixture(autouse=True)
def thawed():
    """What a test has frozen is collected again afterwards."""
    yield
    gc.unfreeze()


def test_the_collector_waits_until_the_body_is_over_and_then_leaves_what_was_made_alone():
    gc.unfreeze()
    with heavy_imports():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 1000


def test_what_is_printed_is_held_back_unless_the_import_fails(capfd):
    with heavy_imports():
        os.write(2, b"of no interest")
    assert capfd.readouterr().err == ""
    with pytest.raises(ImportError), heavy_imports():
        os.write(2, b"the reason")
        raise ImportError
    assert capfd.readouterr().err == "the reason"
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with heavy_imports():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize("before", [None, "/mine"])
def test_what_a_library_leaves_in_the_cache_goes_and_the_cache_is_again_where_it_was(monkeypatch, before):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if before:
        monkeypatch.setenv("XDG_CACHE_HOME", before)
    with pytest.raises(ImportError), cache_that_goes():
        folder = Path(os.environ["XDG_CACHE_HOME"])
        (folder / "number-of-this-machine").write_text("1")
        raise ImportError
    assert not folder.exists()
    assert os.environ.get("XDG_CACHE_HOME") == before
