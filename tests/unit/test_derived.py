"""What was derived is brought up to date; what a person has edited, removed or added stays."""

from fashion.intake.derived import edited, merge

BEFORE = {"same": 1, "edited": 2, "removed": 3, "gone": 4, "gone and edited": 5}
PRESENT = {"same": 1, "edited": 20, "gone": 4, "gone and edited": 50, "added": 6}
AFTER = {"same": 10, "edited": 200, "removed": 300, "new": 7, "added": 600}


def test_only_what_nobody_has_touched_is_brought_up_to_date():
    assert merge(BEFORE, PRESENT, AFTER) == {"same": 10, "edited": 20, "gone and edited": 50, "added": 6, "new": 7}


def test_the_edited_ones_are_named():
    assert edited(BEFORE, PRESENT) == ["edited", "removed", "gone and edited"]
