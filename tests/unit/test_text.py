from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from fashion.text import escape_markdown, markdown_table, shorten

HOSTILE = ["Sandal [long](x)", "a|b", "<i>", "`x`", "*x*", "_x_", "a_b", "~~x~~", "&amp;", "\\", "$x$", "![x](y)"]
PAGE = MarkdownIt("commonmark").enable(["table", "strikethrough"])
LINES = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1)


def shown(markdown):
    """The words that a page shows."""
    parts = [part for block in PAGE.parse(markdown) for part in block.children or ()]
    assert {part.type for part in parts} <= {"text"}
    return [part.content for part in parts]


@settings(deadline=None)
@given(LINES)
def test_any_text_is_shown_in_markdown_as_it_is(text):
    assert "".join(shown(f"Reason: {escape_markdown(text)}")) == f"Reason: {text}"


def test_a_table_shows_hostile_names_as_they_are():
    table = markdown_table([{"fi|gure": f"recall of {name}", "value": "1"} for name in HOSTILE])
    cells = [f"recall of {name}" for name in HOSTILE]
    assert shown(table) == ["fi|gure", "value", *(cell for name in cells for cell in (name, "1"))]


def test_what_a_measured_figure_looks_like_is_left_alone():
    for text in (
        "+2.68 points",
        "T-shirt/top",
        "1,103,956 bytes",
        "corrected_calibration_error is 0.02 (0 to 1), p = 1e-5",
    ):
        assert escape_markdown(text) == text


def test_a_chain_of_reasons_is_cut_between_two_of_them_and_the_rest_is_counted():
    chain = "; ".join(f"recall of class {number} is too low" for number in range(20))
    short = shorten(chain)
    assert len(short) < 220
    shown, _, more = short.rpartition(" (and ")
    assert chain.startswith(f"{shown}; ")
    assert shown.count(";") + 1 + int(more.removesuffix(" more)")) == 20


def test_a_short_chain_and_a_single_long_reason_stay_whole():
    assert shorten("all gates passed; there was no champion") == "all gates passed; there was no champion"
    assert shorten("x" * 1000) == "x" * 1000
