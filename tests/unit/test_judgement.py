"""The rule: a candidate that fails one condition alone is refused for that reason alone."""

import json
from dataclasses import replace

import numpy as np
import pytest
from markdown_it import MarkdownIt

from fashion.evaluation.estimates import exact, proportion_of
from fashion.evaluation.gates import Gate, at_least, at_most
from fashion.evaluation.judgement import Evidence, compare
from fashion.evaluation.paired import UNMEASURED, Difference, Pairs, count_pairs, exact_difference
from fashion.evaluation.robustness import slice_differences
from fashion.evaluation.survey import Survey
from fashion.params import JudgementParams
from fashion.registry.judgement import judgement_from_dict
from fashion.registry.wording import (
    accept_first,
    figures_for_tags,
    markdown,
    narrow_markdown,
    refuse,
    rows,
    write_judgement,
)

PASSED = Gate((at_least("accuracy", exact(0.93), 0.9),))
FAILED = Gate((at_least("accuracy", exact(0.89), 0.9), at_most("model_bytes", exact(10), 20)))
UNDECIDED = Gate((at_least("accuracy", proportion_of(8_954, 10_000), 0.9),))
TOLD = "no gate failed, 1 undecided: accuracy is 0.8954 (0.8892 to 0.9012), limit 0.9"
CLASSES = ("Shirt", "Coat", "Bag")
RULE = JudgementParams.model_validate(
    {
        "confidence": 0.95,
        "margins": {"accuracy": 0.005, "accuracy_for_recent": 0.01, "recall_of_a_class": 0.02},
        "objectives": {"accuracy": 0, "calibration_error": 0.002, "size": 0.1, "latency": 0.2},
    }
)
SAME = Difference(0.01, 0.01, -0.002, 0.002)
SAME_LATENCY = Difference(0.1, 0.1, -0.01, 0.01)
SMALLER = exact_difference(80_000, 100_000)


def make_evidence(candidate_only=(50, 50, 50), champion_only=(50, 50, 50), **measured):
    """Three classes of 4,000 images; the models differ in nothing unless said."""
    pairs = Pairs(np.full(3, 4_000), np.full(3, 3_500), np.array(candidate_only), np.array(champion_only))
    beside = {"calibration_error": SAME, "size": exact_difference(100_000, 100_000), "latency": SAME_LATENCY} | measured
    return Evidence(compare("version 3", pairs, CLASSES, RULE.confidence), **beside)


def with_test(evidence, **changes):
    return replace(evidence, test=replace(evidence.test, **changes))


ANSWERED = Survey(asked=1_000, answered=960)


def with_recent(evidence, candidate_only, champion_only, images=100, survey=ANSWERED):
    """Three classes of 100 recent images, unless said."""
    pairs = Pairs(np.full(3, images), np.full(3, images // 4), np.array(candidate_only), np.array(champion_only))
    return replace(evidence, recent=compare("version 3", pairs, CLASSES, RULE.confidence), survey=survey)


def test_a_candidate_that_is_better_on_recent_images_alone_is_promoted_for_that():
    judgement = write_judgement(PASSED, with_recent(make_evidence(), (30, 30, 30), (5, 5, 5)), RULE)
    assert judgement.promoted
    assert "better in accuracy on recent images (+25.00 points" in judgement.reason
    assert [line.verdict for line in judgement.lines if line.figure == "accuracy on recent images"] == ["better"]
    assert "300 recent images (p = " in markdown(judgement)
    assert "; 960 of 1,000 labels requested at random (96%) have come." in markdown(judgement)
    assert judgement_from_dict(json.loads(json.dumps(judgement.to_dict()))) == judgement


def test_a_candidate_that_pays_for_recent_images_with_the_frozen_ones_is_refused_for_that_alone():
    evidence = with_recent(make_evidence((20, 20, 20), (80, 80, 80)), (30, 30, 30), (5, 5, 5))
    judgement = write_judgement(PASSED, evidence, RULE)
    assert not judgement.promoted
    assert len(judgement.reasons) == 1
    assert "its accuracy may be below version 3's by more than the margin" in judgement.reason


def test_a_candidate_that_is_better_on_recent_images_may_lose_a_little_more_of_the_frozen_ones_than_another():
    """12,000 images: 36 fewer are right, 0.3 points, with an interval down to 0.6."""
    frozen = make_evidence((90, 90, 90), (102, 102, 102), size=SMALLER)
    assert "by more than the margin of 0.5 points" in write_judgement(PASSED, frozen, RULE).reason
    assert write_judgement(PASSED, with_recent(frozen, (30, 30, 30), (5, 5, 5)), RULE).promoted
    tied = write_judgement(PASSED, with_recent(frozen, (5, 5, 5), (5, 5, 5)), RULE)
    assert "by more than the margin of 0.5 points" in tied.reason


@pytest.mark.parametrize(
    ("changed", "obstacle"),
    [
        ({"images": 33}, "fewer than 100 images (register.judgement.recent.images_at_least)"),
        (
            {"survey": Survey(asked=1_000, answered=890)},
            "less than 90% of the labels that were asked for have come (register.judgement.recent.response_at_least)",
        ),
        ({"survey": Survey(0, 0)}, "less than 90%"),
    ],
    ids=["few", "few answers", "never asked"],
)
def test_recent_images_that_are_no_sample_of_what_comes_in_are_shown_and_unlock_nothing(changed, obstacle):
    """300 of them would win accuracy and the wide margin; 36 of 12,000 frozen ones are lost, 0.3 points."""
    slightly_worse = make_evidence((90, 90, 90), (102, 102, 102), size=SMALLER)
    judgement = write_judgement(PASSED, with_recent(slightly_worse, (20, 20, 20), (1, 1, 1), **changed), RULE)
    assert not judgement.promoted
    (reason,) = judgement.reasons
    assert "its accuracy may be below version 3's by more than the margin of 0.5 points" in reason
    assert [row["verdict"] for row in rows(judgement) if "recent" in row["figure"]] == ["shown only"]
    assert f"They do not judge: {obstacle}" in markdown(judgement)
    better = make_evidence((150, 150, 150))
    won = write_judgement(PASSED, with_recent(better, (1, 1, 1), (20, 20, 20), **changed), RULE)
    assert won.promoted
    assert "better in accuracy (+" in won.reason


def test_where_there_are_recent_images_to_be_better_on_the_frozen_ones_is_not_enough():
    judgement = write_judgement(PASSED, with_recent(make_evidence((150, 150, 150)), (5, 5, 5), (5, 5, 5)), RULE)
    assert not judgement.promoted
    assert judgement.reason.startswith("no better than version 3 in any objective")


def test_a_candidate_that_is_worse_on_recent_images_is_refused_for_that_alone():
    judgement = write_judgement(PASSED, with_recent(make_evidence(size=SMALLER), (5, 5, 5), (30, 30, 30)), RULE)
    assert not judgement.promoted
    assert len(judgement.reasons) == 1
    assert "its accuracy on recent images is below version 3's by more than the margin" in judgement.reason


def with_best(evidence, candidate_only, best_only):
    """The same three classes: on how many images of each the candidate alone is right, and version 1 alone."""
    ours, theirs = (np.broadcast_to(counts, 3) for counts in (candidate_only, best_only))
    pairs = Pairs(np.full(3, 4_000), np.full(3, 3_500), ours, theirs)
    return replace(evidence, best=compare("version 1", pairs, CLASSES, RULE.confidence))


def test_a_candidate_within_the_margin_of_the_champion_but_not_of_the_best_one_so_far_is_refused_for_that_alone():
    judgement = write_judgement(PASSED, with_best(make_evidence(size=SMALLER), 20, 50), RULE)
    assert not judgement.promoted
    (reason,) = judgement.reasons
    assert reason.startswith(
        "its accuracy may be below that of version 1, the most accurate champion so far, by more than the margin of "
        "0.5 points: -0.75 points, interval -0.9"
    )
    first, second, *_ = rows(judgement)
    assert (first["figure"], first["verdict"]) == ("accuracy", "not worse")
    assert (second["figure"], second["verdict"]) == ("accuracy against version 1", "may be worse")
    assert (second["candidate"], second["champion"]) == ("88.00%", "88.75%")
    assert judgement_from_dict(json.loads(json.dumps(judgement.to_dict()))) == judgement


def test_a_class_that_the_best_one_so_far_knew_better_refuses_for_that_alone():
    judgement = write_judgement(PASSED, with_best(make_evidence(size=SMALLER), (20, 50, 220), (220, 50, 20)), RULE)
    (reason,) = judgement.reasons
    assert reason.startswith(
        "its recall of Shirt is below that of version 1, the most accurate champion so far, by more"
    )
    verdicts = {row["figure"]: row["verdict"] for row in rows(judgement)}
    assert (verdicts["recall of Shirt"], verdicts["recall of Shirt against version 1"]) == ("not worse", "worse")
    assert "recall of Coat against version 1" not in verdicts


def test_a_candidate_that_is_not_worse_than_the_best_one_so_far_is_promoted_and_that_is_told():
    judgement = write_judgement(PASSED, with_best(make_evidence(size=SMALLER), 50, 50), RULE)
    assert judgement.promoted
    assert "not worse than version 3 or than version 1, the most accurate champion so far, and" in judgement.reason
    assert rows(judgement)[1]["verdict"] == "not worse"


def test_better_on_recent_images_a_candidate_may_be_as_far_below_the_best_one_as_below_the_champion():
    evidence = with_recent(with_best(make_evidence(), 20, 40), (30, 30, 30), (5, 5, 5))
    assert write_judgement(PASSED, evidence, RULE).promoted
    tied = with_recent(with_best(make_evidence(size=SMALLER), 20, 40), (5, 5, 5), (5, 5, 5))
    assert "by more than the margin of 0.5 points" in write_judgement(PASSED, tied, RULE).reason


def test_the_document_shows_names_of_classes_as_they_are():
    evidence = make_evidence((20, 50, 220), (220, 50, 20), size=SMALLER)
    hostile = {"a|b": evidence.test.recalls["Shirt"], "<i>[x](y)": evidence.test.recalls["Coat"]}
    text = markdown(write_judgement(PASSED, with_test(evidence, recalls=hostile), RULE))
    blocks = MarkdownIt("commonmark").enable("table").parse(text)
    shown = [part.content for block in blocks for part in block.children or () if part.type == "text"]
    assert {"recall of a|b", "recall of <i>[x](y)"} <= set(shown)
    assert sum("recall of a|b is below version 3's" in words for words in shown) == 1


def test_a_class_that_is_not_among_the_recent_images_is_no_trouble():
    pairs = Pairs(np.array([100, 100, 0]), np.array([40, 40, 0]), np.array([40, 30, 0]), np.array([5, 5, 0]))
    recent = compare("version 3", pairs, CLASSES, RULE.confidence)
    assert write_judgement(PASSED, replace(make_evidence(), recent=recent, survey=ANSWERED), RULE).promoted


def test_a_figure_that_is_better_by_too_little_is_not_called_no_better():
    slightly = Difference(0.0100, 0.0112, -0.0019, -0.0005)
    judgement = write_judgement(
        PASSED, make_evidence(calibration_error=slightly, latency=Difference(0.09, 0.1, -0.02, 0.0)), RULE
    )
    assert not judgement.promoted
    assert judgement.reasons == (
        "not sufficiently better than version 3 in any objective (accuracy, calibration error, size, latency); better, "
        "but by too little, in calibration error (-0.0012, interval -0.0019 to -0.0005)",
    )
    verdicts = {row["figure"]: row["verdict"] for row in rows(judgement)}
    assert (verdicts["calibration error"], verdicts["latency"]) == ("better, but not counted", "no better")


def test_equal_models_are_a_tie_and_a_tie_promotes_nobody():
    judgement = write_judgement(PASSED, make_evidence(), RULE)
    assert not judgement.promoted
    assert judgement.reasons == (
        "no better than version 3 in any objective (accuracy, calibration error, size, latency)",
    )


@pytest.mark.parametrize(
    ("declared", "named"),
    [({}, "accuracy, size, latency"), ({"accuracy": None, "size": None, "latency": None}, "none could be judged")],
)
def test_a_tie_names_no_objective_that_could_not_be_judged(declared, named):
    rule = RULE.model_copy(update={"objectives": RULE.objectives.model_copy(update=declared)})
    evidence = make_evidence(calibration_error=Difference(0.01, 0.01, *UNMEASURED))
    assert write_judgement(PASSED, evidence, rule).reasons == (f"no better than version 3 in any objective ({named})",)


def test_a_candidate_that_is_the_champion_image_by_image_is_a_tie():
    judgement = write_judgement(PASSED, make_evidence((0, 0, 0), (0, 0, 0)), RULE)
    assert not judgement.promoted
    assert len(judgement.reasons) == 1


@pytest.mark.parametrize(
    ("difference", "gain"),
    [
        ({"candidate_only": (90, 90, 90)}, "accuracy (+1.00 points, interval "),
        (
            {"calibration_error": Difference(0.004, 0.014, -0.015, -0.005)},
            "calibration error (-0.0100, interval -0.0150 to -0.0050)",
        ),
        ({"size": SMALLER}, "size (-20,000 bytes)"),
        ({"latency": Difference(0.05, 0.1, -0.06, -0.04)}, "latency (-0.050 ms, interval -0.060 to -0.040)"),
    ],
    ids=["accuracy", "calibration error", "size", "latency"],
)
def test_each_objective_alone_promotes(difference, gain):
    judgement = write_judgement(PASSED, make_evidence(**difference), RULE)
    assert judgement.promoted
    assert len(judgement.reasons) == 1
    assert judgement.reason.startswith("all gates passed, not worse than version 3, and better in ")
    assert gain in judgement.reason


@pytest.mark.parametrize(
    "difference",
    [
        {"candidate_only": (51, 51, 51)},
        {"calibration_error": Difference(0.006, 0.01, -0.007, -0.001)},
        {"size": exact_difference(91_000, 100_000)},
        {"latency": Difference(0.07, 0.1, -0.06, -0.01)},
    ],
    ids=["accuracy", "calibration error", "size", "latency"],
)
def test_a_gain_that_is_too_small_or_uncertain_does_not_count(difference):
    assert not write_judgement(PASSED, make_evidence(**difference), RULE).promoted


def test_an_objective_that_is_not_declared_does_not_count():
    only_accuracy = RULE.model_copy(update={"objectives": RULE.objectives.model_copy(update={"size": None})})
    judgement = write_judgement(PASSED, make_evidence(size=SMALLER), only_accuracy)
    assert judgement.reasons == ("no better than version 3 in any objective (accuracy, calibration error, latency)",)


def test_a_handful_of_images_is_no_gain_even_where_the_bootstrap_is_sure():
    evidence = make_evidence((4, 0, 0), (0, 0, 0))
    assert evidence.test.accuracy.low > 0
    assert evidence.test.mcnemar_p == pytest.approx(0.125)
    assert not write_judgement(PASSED, evidence, RULE).promoted


def test_a_failed_gate_alone_refuses_with_that_reason_alone():
    judgement = write_judgement(FAILED, make_evidence(size=SMALLER), RULE)
    assert not judgement.promoted
    assert judgement.reasons == ("gates failed: accuracy is 0.89, limit 0.9",)


def test_an_accuracy_that_may_be_lower_alone_refuses_with_that_reason_alone():
    # Half a point lower in every class: no class stands out.
    judgement = write_judgement(PASSED, make_evidence((50, 50, 50), (70, 70, 70), size=SMALLER), RULE)
    assert not judgement.promoted
    (reason,) = judgement.reasons
    assert reason.startswith(
        "its accuracy may be below version 3's by more than the margin of 0.5 points: -0.50 points"
    )


def test_one_worse_class_alone_refuses_with_that_reason_alone():
    # What Shirt loses, Bag wins: overall they are even.
    judgement = write_judgement(PASSED, make_evidence((20, 50, 220), (220, 50, 20), size=SMALLER), RULE)
    assert not judgement.promoted
    (reason,) = judgement.reasons
    assert reason.startswith(
        "its recall of Shirt is below version 3's by more than the margin of 2 points: -5.00 points"
    )


WORSE_BY_FIVE = Difference(0.65, 0.70, -0.06, -0.04)
NOT_CERTAIN = Difference(0.65, 0.70, -0.09, -0.01)


def test_a_candidate_worse_only_on_corrupted_images_is_refused_for_that_alone():
    judgement = write_judgement(PASSED, with_test(make_evidence(size=SMALLER), corrupted=WORSE_BY_FIVE), RULE)
    assert not judgement.promoted
    assert judgement.reasons == (
        "its accuracy on corrupted images is below version 3's by more than the margin of 2 points: -5.00 points, "
        "interval -6.00 to -4.00",
    )
    assert rows(judgement)[1]["figure"] == "accuracy on corrupted images"
    assert figures_for_tags(judgement)["judged_accuracy_on_corrupted_images"].startswith("-5.00 points")


def test_a_candidate_better_on_clean_and_certainly_worse_on_corrupted_images_is_refused_for_that_alone():
    evidence = make_evidence(candidate_only=(150, 150, 150))
    assert write_judgement(PASSED, evidence, RULE).promoted
    judgement = write_judgement(PASSED, with_test(evidence, corrupted=WORSE_BY_FIVE), RULE)
    (reason,) = judgement.reasons
    assert reason.startswith("its accuracy on corrupted images is below version 3's")


def test_a_candidate_worse_only_on_a_declared_slice_is_refused_for_that_alone():
    slices = {"dark": WORSE_BY_FIVE, "rare_class": NOT_CERTAIN}
    judgement = write_judgement(PASSED, with_test(make_evidence(size=SMALLER), slices=slices), RULE)
    (reason,) = judgement.reasons
    assert reason.startswith("its accuracy on dark images is below version 3's by more than the margin of 2 points")
    verdicts = {row["figure"]: row["verdict"] for row in rows(judgement)}
    assert verdicts["accuracy on dark images"] == "worse"
    assert verdicts["accuracy on images of rare classes"] == "not worse"


def test_dark_images_that_a_candidate_gives_up_for_others_refuse_for_that_alone():
    """2,000 images of three classes; what it loses on 40 of 100 dark ones, it wins on others."""
    labels, number = np.arange(2_000) % 3, np.arange(2_000)
    champion, candidate = number >= 200, (number >= 200) & ((number < 1_900) | (number >= 1_940))
    candidate |= number < 40
    pairs = count_pairs(labels, candidate, champion, 3)
    members = {"dark": number >= 1_900, "pale": number < 0}
    test = replace(
        compare("version 3", pairs, CLASSES, RULE.confidence),
        slices=slice_differences(members, candidate, champion, RULE.confidence),
    )
    lenient = RULE.margins.model_copy(update={"accuracy": 0.02, "accuracy_for_recent": 0.02})
    rule = RULE.model_copy(update={"margins": lenient})
    judgement = write_judgement(PASSED, replace(make_evidence(size=SMALLER), test=test), rule)
    (reason,) = judgement.reasons
    assert reason.startswith(
        "its accuracy on dark images is below version 3's by more than the margin of 2 points: -40"
    )


def test_a_candidate_that_may_be_as_good_on_corrupted_images_and_on_slices_passes():
    evidence = with_test(make_evidence(size=SMALLER), corrupted=NOT_CERTAIN, slices={"dark": NOT_CERTAIN})
    assert write_judgement(PASSED, evidence, RULE).promoted
    equal = Difference(0.7, 0.7, -0.01, 0.01)
    evidence = with_test(make_evidence(size=SMALLER), corrupted=equal, slices={"dark": equal, "small": equal})
    assert write_judgement(PASSED, evidence, RULE).promoted


def test_being_better_on_corrupted_images_is_no_objective():
    better = Difference(0.75, 0.7, 0.04, 0.06)
    assert not write_judgement(
        PASSED, with_test(make_evidence(), corrupted=better, slices={"dark": better}), RULE
    ).promoted


def test_the_margins_of_corrupted_images_and_slices_are_those_declared():
    margins = RULE.margins.model_copy(update={"corrupted_accuracy": 0.05, "accuracy_of_a_slice": 0.04})
    lenient = RULE.model_copy(update={"margins": margins})
    evidence = with_test(make_evidence(size=SMALLER), corrupted=WORSE_BY_FIVE, slices={"dark": WORSE_BY_FIVE})
    assert len(write_judgement(PASSED, evidence, RULE).reasons) == 2
    assert write_judgement(PASSED, evidence, lenient).promoted


def test_corrupted_images_on_which_the_best_one_so_far_was_better_refuse_for_that_alone():
    evidence = with_best(make_evidence(size=SMALLER), 50, 50)
    evidence = replace(evidence, best=replace(evidence.best, corrupted=WORSE_BY_FIVE, slices={"dark": NOT_CERTAIN}))
    judgement = write_judgement(PASSED, evidence, RULE)
    (reason,) = judgement.reasons
    assert reason.startswith("its accuracy on corrupted images is below that of version 1, the most accurate champion")
    figures = {row["figure"] for row in rows(judgement)}
    assert "accuracy on corrupted images against version 1" in figures
    assert "accuracy on dark images against version 1" not in figures


def test_what_could_not_be_judged_is_said_and_kept():
    evidence = make_evidence(size=SMALLER, unjudged=("pale images (not told apart)", "a|b (the test set has none)"))
    judgement = write_judgement(PASSED, evidence, RULE)
    assert judgement.promoted
    assert "Not judged: pale images (not told apart); a|b (the test set has none)." in markdown(judgement)
    assert judgement_from_dict(json.loads(json.dumps(judgement.to_dict()))) == judgement


def test_a_judgement_of_an_earlier_release_is_still_read():
    content = json.loads(json.dumps(write_judgement(PASSED, make_evidence(), RULE).to_dict()))
    del content["unjudged"]
    assert judgement_from_dict(content).unjudged == ()


def test_a_class_that_is_worse_within_the_margin_of_error_refuses_nobody():
    assert write_judgement(PASSED, make_evidence((20, 50, 100), (100, 50, 20), size=SMALLER), RULE).promoted


def test_a_difference_at_the_margin_is_not_within_it():
    evidence = make_evidence(size=SMALLER)
    at_margin = with_test(evidence, accuracy=replace(evidence.test.accuracy, low=-RULE.margins.accuracy))
    assert write_judgement(PASSED, evidence, RULE).promoted
    assert not write_judgement(PASSED, at_margin, RULE).promoted


def test_figures_that_are_not_numbers_promote_nobody():
    nowhere = Difference(float("nan"), 0.9, float("nan"), float("nan"))
    evidence = with_test(make_evidence(size=SMALLER), accuracy=nowhere)
    assert not write_judgement(PASSED, evidence, RULE).promoted


def test_all_reasons_are_told():
    judgement = write_judgement(FAILED, make_evidence((10, 50, 50), (400, 50, 50)), RULE)
    assert [reason.split()[0] for reason in judgement.reasons] == ["gates", "its", "its", "no"]


def test_without_a_champion_the_gates_decide():
    assert accept_first(PASSED).promoted
    assert accept_first(PASSED).reason == "all gates passed; there was no champion"
    assert accept_first(FAILED).reasons == ("gates failed: accuracy is 0.89, limit 0.9",)
    assert not accept_first(FAILED).promoted


def test_a_gate_that_is_undecided_refuses_nobody_and_is_told():
    assert accept_first(UNDECIDED).promoted
    assert accept_first(UNDECIDED).reason == f"{TOLD}; there was no champion"
    promoted = write_judgement(UNDECIDED, make_evidence(size=SMALLER), RULE)
    assert promoted.promoted
    assert promoted.reason.startswith(f"{TOLD}, not worse than version 3, and better in size")
    assert refuse(UNDECIDED, "its files are gone").reasons == ("its files are gone",)


def test_a_champion_that_cannot_be_compared_is_not_replaced():
    judgement = refuse(PASSED, "its files are gone")
    assert not judgement.promoted
    assert judgement.reasons == ("its files are gone",)
    assert refuse(FAILED, "its files are gone").reasons[0].startswith("gates failed")


def test_a_judgement_survives_its_file_format():
    for judgement in (write_judgement(PASSED, make_evidence(), RULE), accept_first(PASSED)):
        assert judgement_from_dict(json.loads(json.dumps(judgement.to_dict()))) == judgement


def test_the_table_has_a_row_for_every_figure_with_its_verdict():
    table = rows(write_judgement(PASSED, make_evidence((20, 50, 220), (220, 50, 20), size=SMALLER), RULE))
    assert {row["figure"]: row["verdict"] for row in table} == {
        "accuracy": "not worse",
        "recall of Shirt": "worse",
        "recall of Coat": "not worse",
        "recall of Bag": "not worse",
        "calibration error": "no better",
        "size": "better",
        "latency": "no better",
    }
    assert table[1]["candidate"] == "88.00%"
    assert table[1]["champion"] == "93.00%"
    assert table[1]["difference"] == "-5.00 points"
    assert table[5]["95% interval"] == ""


@pytest.mark.parametrize(("share", "shown"), [(0.95, "95%"), (0.57, "57%"), (0.975, "97.5%"), (0.9999, "99.99%")])
def test_shares_of_the_parameters_are_shown_as_they_were_given(share, shown):
    recent = RULE.recent.model_copy(update={"response_at_least": share})
    rule = RULE.model_copy(update={"confidence": share, "recent": recent})
    unanswered = with_recent(make_evidence(), (9, 9, 9), (1, 1, 1), survey=Survey(asked=1_000, answered=1))
    judgement = write_judgement(PASSED, unanswered, rule)
    assert f"{shown} interval" in rows(judgement)[0]
    assert f"less than {shown} of the labels" in judgement.recent_obstacle


def test_the_document_tells_verdict_reasons_counts_and_table():
    text = markdown(write_judgement(PASSED, make_evidence(candidate_only=(90, 90, 90)), RULE))
    assert text.startswith("**To be promoted**\n\n- all gates passed")
    assert "only the candidate is right on 270 of them, only version 3 on 150 (McNemar's exact p = " in text
    assert "| accuracy | 89.75% | 88.75% | +1.00 points | " in text
    assert markdown(accept_first(PASSED)) == "**To be promoted**\n\n- all gates passed; there was no champion\n"


def test_a_narrow_page_shows_the_verdict_beside_the_figure():
    text = narrow_markdown(write_judgement(PASSED, make_evidence(candidate_only=(90, 90, 90)), RULE))
    assert "| figure | verdict | candidate | champion | difference | 95% interval |" in text
    assert "| accuracy | better | 89.75% | 88.75% | +1.00 points | " in text


def test_the_tags_are_short():
    tags = figures_for_tags(write_judgement(PASSED, make_evidence(), RULE))
    assert set(tags) == {
        "judged_against",
        "judged_mcnemar_p",
        "judged_accuracy",
        "judged_calibration_error",
        "judged_size",
        "judged_latency",
    }
    assert max(map(len, tags.values())) < 80
    assert figures_for_tags(accept_first(PASSED)) == {}
