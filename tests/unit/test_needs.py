"""What needs a person, the charts of windows, and asking several tools at once."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from fashion.adapters.orchestration import FlowRun
from fashion.adapters.predictions import Use
from fashion.errors import ServiceError
from fashion.evaluation.alarm import Verdict
from fashion.pages import needs
from fashion.pages.asking import Question
from fashion.pages.trend import HEIGHT, WIDTH, draw_accuracy, draw_drift
from fashion.params import load_params
from fashion.registry.absence import Absence
from fashion.registry.overview import Models, Standing
from tests.logs import NOON, judged
from tests.projects import SOURCE
from tests.servers import PATIENCE_SECONDS

PARAMS = load_params(SOURCE / "params.yaml")


def use(*windows, wanted=0, uncollected=0):
    return Use(1000, NOON, 0, wanted, uncollected, windows)


def run(flow, failed, about="", message="no disk"):
    return FlowRun(flow, "a run", "Failed" if failed else "Completed", message, NOON, failed, about)


def test_with_a_champion_and_nothing_open_nothing_needs_a_person():
    standing = Standing(Models("m", (), True), SimpleNamespace(version="1"), None, None, None, ())
    assert list(needs.of_registry(standing)) == []
    assert list(needs.of_log(use(judged(1)), PARAMS)) == []
    assert list(needs.of_runs([run("training", False)], "http://p")) == []
    assert list(needs.of_refused(0, "refused.csv")) == []


def test_the_ways_to_a_champion_and_to_an_answer_are_named():
    absence = Absence("m has no champion: version 2 was refused.", "Until there is one, nothing.", ("try: make run",))
    (need,) = needs.of_registry(Standing(Models("m", (), True), None, None, None, absence, ()))
    assert need.what == "m has no champion: version 2 was refused. Until there is one, nothing."
    assert need.ways == ("try: make run",)
    proposed = (("version 3 awaits approval", ("make it champion by hand",)),)
    champion = SimpleNamespace(version="1")
    (need,) = needs.of_registry(Standing(Models("m", (), True), champion, None, "3", None, proposed))
    assert (need.what, need.ways) == ("Version 3 awaits approval.", ("make it champion by hand",))


def test_an_alarm_needs_a_person_until_it_has_cooled_down_or_another_version_is_looked_at_or_champion():
    cool_down = PARAMS.monitor.alarm.cool_down
    alarm = judged(1, Verdict.ALARM)
    later = [judged(2 + number) for number in range(cool_down)]
    (need,) = needs.of_log(use(alarm, *later[:-1]), PARAMS, pages=(1, 2))
    assert "Window 1 of version 1 raised an alarm" in need.what
    (without_page,) = needs.of_log(use(alarm, *later[:-1]), PARAMS, pages=(2,))
    assert (without_page.what, without_page.address) == (need.what, None)
    assert need.address == "/status/windows/1/index.html"
    assert list(needs.of_log(use(alarm, *later), PARAMS)) == []
    assert list(needs.of_log(use(alarm, judged(2, version="2")), PARAMS)) == []
    assert list(needs.of_log(use(alarm), PARAMS, champion="2")) == []
    assert len(list(needs.of_log(use(alarm), PARAMS, champion="1"))) == 1


def test_an_alarm_of_the_last_look_needs_a_person_without_any_cooling_down():
    alarm = PARAMS.monitor.alarm.model_copy(update={"cool_down": 0})
    params = PARAMS.model_copy(update={"monitor": PARAMS.monitor.model_copy(update={"alarm": alarm})})
    assert len(list(needs.of_log(use(judged(1), judged(2, Verdict.ALARM)), params))) == 1


def test_labels_that_are_wanted_or_waiting_and_the_last_run_of_a_flow_that_failed_need_a_person():
    at_least = PARAMS.collect.at_least
    assert [need.what[:2] for need in needs.of_log(use(wanted=7), PARAMS)] == ["7 "]
    assert list(needs.of_log(use(uncollected=at_least - 1), PARAMS)) == []
    (need,) = needs.of_log(use(uncollected=at_least), PARAMS)
    assert "no training has seen" in need.what
    runs = [run("training", True), run("training", False), run("monitoring", False), run("monitoring", True)]
    (need,) = needs.of_runs(runs, "http://p")
    assert need.what == "The last run of training failed: no disk"
    (need,) = needs.of_refused(3, "x.csv")
    assert need.ways[0].endswith("rm x.csv")


@pytest.mark.parametrize("scores", [(0.0,), (-0.5, 0.4, 1.0), (0.2, 2_529_496.4, 1e300)])
def test_every_mark_of_a_chart_lies_in_it(scores):
    windows = [judged(number, score=score, by_class={"0": (20, 18)}) for number, score in enumerate(scores)]
    for chart in (draw_drift(windows), draw_accuracy(windows)):
        ends = [place for mark in chart.marks for place in (mark.y, mark.low, mark.high) if place is not None]
        assert all(0 <= place <= HEIGHT for place in [*ends, *(y for y, _ in chart.ticks)])
        assert all(0 < mark.x < WIDTH for mark in chart.marks)
        assert len(chart.line.split()) == len(scores)
        heights = sorted(y for y, _ in chart.ticks)
        assert min(np.diff(heights)) > 12  # The height of their letters.


def test_a_chart_without_labels_has_no_live_mark_and_says_so():
    chart = draw_accuracy([judged(1)])
    assert chart.marks == ()
    assert "no labels yet" in chart.summary


def patiently(question):
    return question.answer(time.monotonic() + PATIENCE_SECONDS)


def test_what_never_answers_is_asked_once_and_what_it_said_before_is_shown_with_its_age():
    release, asked = threading.Event(), []

    def ask():
        asked.append(1)
        if len(asked) == 2:
            release.wait()
        return len(asked)

    question = Question(ask)
    question.begin()
    assert patiently(question).content == 1
    for _ in range(3):
        question.begin()
        answer = question.answer(deadline=0.0)
        assert answer.content == 1
        assert "no answer for" in answer.trouble
        assert answer.age > 0
    assert len(asked) == 2
    release.set()
    assert patiently(question).content == 2


def test_an_error_of_any_kind_is_said_in_its_place():
    for error, said in ((ServiceError("MLflow is away"), "MLflow is away"), (KeyError("x"), "KeyError: 'x'")):

        def ask(error=error):
            raise error

        question = Question(ask)
        question.begin()
        answer = patiently(question)
        assert (answer.content, answer.trouble) == (None, said)
