from fashion.evaluation.survey import Survey


def test_what_was_never_asked_was_not_answered():
    assert Survey(0, 0).response == 0
    assert str(Survey(1_200, 1_170)) == "1,170 of 1,200 labels requested at random (98%)"
