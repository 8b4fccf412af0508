"""Output in encodings that lack a character."""

import io
import signal
import sys

from fashion import cli
from fashion.cli.terminal import console


def test_a_terminal_without_utf_8_gets_the_nearest_plain_text(monkeypatch):
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding="ascii", write_through=True))
    monkeypatch.setattr(cli, "app", lambda: console.print("champion none → 2, ±, é, …, 靴"))
    ended_by = signal.getsignal(signal.SIGTERM)
    cli.main()
    signal.signal(signal.SIGTERM, ended_by)
    assert output.getvalue() == b"champion none -> 2, +-, e, ..., ?\n"
