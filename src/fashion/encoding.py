"""Text for terminals and files whose encoding is not UTF-8."""

import codecs
import io
import sys
import unicodedata

PLAIN = {"→": "->", "±": "+-"}


def degrade_output() -> None:
    """Let standard output replace characters that its encoding lacks, instead of raising UnicodeEncodeError."""
    codecs.register_error("fashion", _plain)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="fashion")


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Replace missing characters: by PLAIN, by the letter without its accent, or by a question mark."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(PLAIN.get(character) or _without_accent(character) for character in missing), error.end


def _without_accent(character: str) -> str:
    return unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode() or "?"
