from fashion.evaluation.alarm import Verdict, decide, decide_alone
from fashion.loop.wording import explain
from fashion.params import AlarmParams

POLICY = AlarmParams(false_alarm_rate=0.01, smallest_window=100, needed=2, of=3, cool_down=3)
CLEAN, DRIFTED = {"embeddings": 0.4, "labels": 1.0}, {"embeddings": 0.4, "labels": 1.2}


def verdicts(windows, policy=POLICY):
    """The verdicts on windows that come one after the other."""
    found = []
    for scores in windows:
        found.append(decide(found, scores, policy).verdict)
    return found


def test_a_score_at_the_threshold_is_clean():
    assert verdicts([CLEAN]) == [Verdict.CLEAN]


def test_one_drifted_window_is_no_alarm_and_two_of_three_are():
    assert verdicts([DRIFTED, CLEAN, DRIFTED]) == [Verdict.DRIFTED, Verdict.CLEAN, Verdict.ALARM]


def test_a_drifted_window_too_long_ago_does_not_count():
    assert verdicts([DRIFTED, CLEAN, CLEAN, DRIFTED])[-1] is Verdict.DRIFTED


def test_a_clean_window_is_never_an_alarm():
    assert verdicts([DRIFTED, DRIFTED, CLEAN])[-1] is Verdict.CLEAN


def test_an_alarm_is_raised_again_only_after_the_cool_down():
    found = verdicts([DRIFTED] * 10)
    alarms = [number for number, verdict in enumerate(found) if verdict is Verdict.ALARM]
    assert alarms == [1, 5, 9]
    assert found[2:5] == [Verdict.SILENCED] * 3


def test_without_a_cool_down_and_with_one_window_needed_every_drifted_window_is_an_alarm():
    policy = POLICY.model_copy(update={"needed": 1, "of": 1, "cool_down": 0})
    assert verdicts([DRIFTED, CLEAN, DRIFTED, DRIFTED], policy) == [
        Verdict.ALARM,
        Verdict.CLEAN,
        Verdict.ALARM,
        Verdict.ALARM,
    ]


def test_the_reason_names_what_is_beyond_its_limit_the_farthest_first():
    scores = {"labels": 1.2, "embeddings": 0.9, "class mix": 3000.0}
    expected = "class mix at over 1,000, labels at 1.20 times the limit; 1 of the last 1 windows drifted"
    assert explain(decide([], scores, POLICY), 100, POLICY).startswith(expected)


def test_a_window_that_counts_in_no_alarm_says_so():
    decision = decide_alone(DRIFTED)
    assert (decision.verdict, decide_alone(CLEAN).verdict) == (Verdict.DRIFTED, Verdict.CLEAN)
    assert explain(decision, 100, POLICY) == "labels at 1.20 times the limit; selected by hand, so not counted"
