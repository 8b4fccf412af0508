"""Keys of a YAML file are changed, and everything else stays as it is written."""

from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from fashion.params.editing import REMOVED, edit

TEXT = """# At the top.

data: # about data
  classes: [A, B] # in this order
  files:
    - one # the first
    - two
  # Above the next.
  sources: [dvc]

flow: {a: 1, b: {c: 2}} # in braces
end: 1 # at the end
"""


def loaded(text):
    return YAML(typ="safe").load(text)


def test_a_value_is_replaced_and_the_comment_behind_it_stays():
    assert edit(TEXT, {("data", "classes"): ["C: d", "1"]}) == TEXT.replace("[A, B]", '["C: d", "1"]')
    assert edit(TEXT, {("end",): 2.5}) == TEXT.replace("end: 1", "end: 2.5")


def test_a_block_becomes_one_line_and_the_comment_below_it_stays():
    block = "  files:\n    - one # the first\n    - two\n"
    assert edit(TEXT, {("data", "files"): ["three"]}) == TEXT.replace(block, "  files: [three]\n")


def test_a_list_of_mappings_is_written_as_a_block():
    block = "  files:\n    - one # the first\n    - two\n"
    written = "  files:\n    - {name: x}\n    - {name: z}\n"
    assert edit(TEXT, {("data", "files"): [{"name": "x"}, {"name": "z"}]}) == TEXT.replace(block, written)


def test_what_is_removed_goes_with_its_lines_and_nothing_else():
    block = "  files:\n    - one # the first\n    - two\n"
    assert edit(TEXT, {("data", "files"): REMOVED}) == TEXT.replace(block, "")
    assert edit(TEXT, {("data", "nothing"): REMOVED}) == TEXT


def test_what_is_added_comes_last_in_its_mapping_with_a_note_above():
    added = "  sources: [dvc]\n  # Why.\n  new:\n    a: 1\n    b: {c: 2}\n"
    changed = edit(TEXT, {("data", "new"): {"a": 1, "b": {"c": 2}}}, {("data", "new"): "Why."})
    assert changed == TEXT.replace("  sources: [dvc]\n", added)


def test_a_mapping_in_braces_stays_on_its_line():
    changed = edit(TEXT, {("flow", "b", "c"): 3, ("flow", "d"): "x", ("flow", "a"): REMOVED})
    assert changed == TEXT.replace("{a: 1, b: {c: 2}}", "{b: {c: 3}, d: x}")


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1), min_size=1))
def test_whatever_names_are_written_they_are_read_again(names):
    changed = edit(TEXT, {("data", "classes"): names})
    assert loaded(changed)["data"]["classes"] == names
    assert changed.replace(changed.split("\n")[3], TEXT.split("\n")[3]) == TEXT


def test_a_section_that_is_not_there_is_made():
    assert edit(TEXT, {("new", "a"): 1, ("new", "b"): 2}) == f"{TEXT.rstrip()}\nnew:\n  a: 1\n  b: 2\n"
    assert edit(TEXT, {("nothing", "a"): REMOVED}) == TEXT
