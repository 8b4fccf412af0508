"""A search that is kept: in a file and in PostgreSQL, by one process at a time, without training anything."""

import subprocess
import sys
import warnings

import pytest

from fashion.adapters.studies import COMPLETE, FAILED, PRUNED, Place, forget_study, open_study, study_names
from fashion.adapters.studies.pictures import draw_study
from fashion.errors import ArtifactError, ParamsError, ServiceError
from fashion.params import Knob

SPACE = {
    "learning_rate": Knob(low=0.001, high=0.1, log=True),
    "batch_size": Knob(choices=(32, 64)),
    "augmentation.shift": Knob(low=0, high=3),
    "width": Knob(low=0.5, high=2.0),
}
HOLD = """
import sys
from pathlib import Path
from fashion.adapters.studies import Place, open_study
with open_study(Place("study", None if sys.argv[1] == "-" else sys.argv[1], Path(sys.argv[2])), 1, 0.3):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=["file", "postgresql"])
def place(request, tmp_path):
    url = request.getfixturevalue("postgresql_server") if request.param == "postgresql" else None
    place = Place("study", url, tmp_path)
    forget_study(place)
    return place


def enter(place, **options):
    return open_study(place, options.pop("seed", 1), options.pop("pruned_before", 0.3))


def test_a_study_goes_on_where_it_was_and_can_be_forgotten(place):
    assert "study" not in study_names(place)
    with enter(place) as study:
        assert "study" in study_names(place)
        assert (study.about, study.trials) == (None, [])
        study.note("about", {"space": "this"})
        study.suggest_first(
            {"learning_rate": 0.01, "batch_size": 64, "augmentation.shift": 1, "width": 1.0},
        )
        first = study.ask(SPACE)
        assert first.values == {"learning_rate": 0.01, "batch_size": 64, "augmentation.shift": 1, "width": 1.0}
        study.complete(first.number, 0.9)
        study.fail(study.ask(SPACE).number, "not finite")
        left = study.ask(SPACE)  # And here the power goes.
    with enter(place) as study:
        assert study.about == {"space": "this"}
        assert [trial.state for trial in study.trials] == [COMPLETE, FAILED, "running"]
        study.restart_stopped()
        again = study.ask(SPACE)
        assert again.values == left.values
        study.complete(again.number, 0.95)
        assert [(one.state, one.accuracy, one.reason) for one in study.trials] == [
            (COMPLETE, 0.9, ""),
            (FAILED, None, "not finite"),
            (FAILED, None, "its process was stopped"),
            (COMPLETE, 0.95, ""),
        ]
    forget_study(place)
    with enter(place) as study:
        assert (study.about, study.trials) == (None, [])


def test_a_study_with_the_largest_seed_goes_on(place):
    for _ in range(2):
        with enter(place, seed=2**32 - 1) as study:
            study.complete(study.ask(SPACE).number, 0.9)
    with enter(place) as study:
        assert [trial.state for trial in study.trials] == [COMPLETE, COMPLETE]


def test_nobody_else_goes_on_with_a_study_that_is_at_work(place, tmp_path):
    command = [sys.executable, "-c", HOLD, place.url or "-", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ServiceError, match="being worked on by another .fashion tune."), enter(place):
            pytest.fail("two at once")
        with pytest.raises(ServiceError, match="fashion tune --study NAME"):
            forget_study(place)
        other.kill()
    with enter(place) as study:
        assert study.trials == []


def try_curve(study, curve):
    """A trial with this curve over ten epochs; after which epoch it was stopped, if it was."""
    trial = study.ask(SPACE)
    for epoch, accuracy in enumerate(curve, start=1):
        if study.report(trial.number, epoch / len(curve), accuracy):
            study.prune(trial.number, f"after epoch {epoch}")
            return epoch
    study.complete(trial.number, curve[-1])
    return None


def test_a_trial_is_stopped_once_it_is_worse_than_half_of_the_others_but_not_before_its_time(tmp_path):
    good, bad = [0.5 + epoch / 25 for epoch in range(10)], [0.1 + epoch / 100 for epoch in range(10)]
    with enter(Place("study", None, tmp_path)) as study:
        assert [try_curve(study, good) for _ in range(5)] == [None] * 5
        assert try_curve(study, bad) == 3, "the first 30 % are no matter"
        assert try_curve(study, [*good[::3], 0.9]) is None, "tenths, whatever the number of epochs"
        assert study.trials[5].state == PRUNED
        assert study.trials[5].reason == "after epoch 3"
        drawn = [path.name for path in draw_study(study, tmp_path)]
    assert sorted(drawn) == ["curves.png", "history.png", "importances.png", "slices.png"]
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in drawn)


def test_more_epochs_than_tenths_are_reported_without_a_warning(tmp_path):
    with enter(Place("study", None, tmp_path)) as study, warnings.catch_warnings():
        warnings.simplefilter("error")
        assert try_curve(study, [epoch / 100 for epoch in range(40)]) is None
        (kept,) = study.optuna.get_trials()
    assert kept.intermediate_values == {tenth: max(4 * tenth - 1, 0) / 100 for tenth in range(11)}


def test_a_search_with_nothing_complete_has_little_to_draw(tmp_path):
    with enter(Place("study", None, tmp_path)) as study:
        assert draw_study(study, tmp_path) == []
        study.fail(study.ask(SPACE).number, "not finite")
        assert draw_study(study, tmp_path) == []


def test_half_a_line_of_a_power_cut_is_forgotten_and_other_damage_is_said(tmp_path):
    place = Place("study", None, tmp_path)
    with enter(place) as study:
        study.complete(study.ask(SPACE).number, 0.9)
    whole = place.path.read_bytes()
    place.path.write_bytes(whole + b'{"op_code": 4, "work')
    with enter(place) as study:
        study.complete(study.ask(SPACE).number, 0.8)
        assert [trial.accuracy for trial in study.trials] == [0.9, 0.8]
    place.path.write_bytes(b"nonsense\n" + whole)
    with pytest.raises(ArtifactError, match=r"study\.log is damaged .*fashion tune --restart"), enter(place):
        pytest.fail("it was read")
    forget_study(place)


@pytest.mark.parametrize(
    ("url", "error", "reason"),
    [
        ("postgresql://user:geheimnis@127.0.0.1:9/studies", ServiceError, "went away or refused"),
        ("sqlite:///studies.db", ParamsError, "FASHION_STUDIES_URL: expected postgresql://, found sqlite://"),
        ("nonsense", ParamsError, "FASHION_STUDIES_URL is not the address of a database"),
    ],
)
def test_a_database_that_is_away_or_none_is_refused_in_words(url, error, reason, tmp_path):
    with pytest.raises(error, match=reason) as raised, enter(Place("study", url, tmp_path)):
        pytest.fail("it was opened")
    assert "geheimnis" not in str(raised.value)
