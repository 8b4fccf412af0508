"""What follows from an answer about a proposed version, in a real registry; and how the command meets Prefect."""

import http.server
import json
import threading
from contextlib import contextmanager
from uuid import UUID

import pytest
from typer.testing import CliRunner

from fashion.adapters import orchestration, tracking
from fashion.adapters.tracking.address import registry_of
from fashion.cli import app
from fashion.errors import PromotionError, ServiceError
from fashion.params import load_params
from fashion.registry import approval
from fashion.registry.approval import Answer, answer, conclude
from fashion.registry.judgement import Judgement
from fashion.registry.overview import list_changes, list_models
from fashion.registry.promotion import decide, promote, roll_back
from fashion.registry.register import register
from fashion.stages.evaluate import evaluate
from tests.advice import follow
from tests.integration.test_promotion import add_versions, registry
from tests.projects import edit_params

YES = Answer(True, "anna@laptop", "fashion approve", "looks right")
NO = Answer(False, "Bob", "Prefect's page", "too slow")


def load(project):
    return load_params(project.params)


def propose(project, reason="better in accuracy"):
    """A new version whose promotion the judgement proposes; its number."""
    (number,) = add_versions(project)
    version = tracking.get_version(registry(project), number)
    ledger = tracking.settle(registry(project))
    decision = decide(ledger, version, Judgement(True, (reason,)), None, True)
    change = tracking.record(registry(project), ledger, decision)
    tracking.tag_version(registry(project), version, {"reason": f"awaits approval: {reason}", "verdict": "challenger"})
    assert (change.action, change.after) == ("propose", tracking.Aliases("1", number))
    return number


def answered(project, number, given):
    return conclude(project, load(project), number, given, "a run")


def state(project, number):
    """The aliases, the verdict and reason that `fashion models` shows, and the newest decision."""
    found = {model.version: model for model in list_models(project, load(project)).models}[number]
    newest = list_changes(project, load(project))[0]
    return newest.after, (found.verdict, found.reason), newest


def test_an_approved_version_is_champion_and_the_history_says_by_whom(trained_project):
    two = propose(trained_project)
    outcome = answered(trained_project, two, YES)
    assert (outcome.verdict, outcome.approval) == ("champion", "answered")
    aliases, tags, change = state(trained_project, two)
    assert aliases == tracking.Aliases(two, None)
    assert tags == ("champion", "approved by anna@laptop (fashion approve): looks right")
    assert (change.action, change.who, change.via) == ("approve", "anna@laptop", "fashion approve")
    assert (change.reason, change.flow_run) == ("looks right", "a run")


def test_a_refused_version_stays_challenger_with_the_reason(trained_project):
    two = propose(trained_project)
    answered(trained_project, two, NO)
    aliases, tags, change = state(trained_project, two)
    assert aliases == tracking.Aliases("1", two)
    assert tags == ("challenger", "refused by Bob (Prefect's page): too slow")
    assert (change.action, change.moves) == ("refuse", ())


def test_without_an_answer_in_time_it_stays_challenger(trained_project):
    two = propose(trained_project)
    outcome = answered(trained_project, two, None)
    assert (outcome.verdict, outcome.reason) == ("challenger", "nobody answered within 7 days")
    aliases, _, change = state(trained_project, two)
    assert (aliases, change.action, change.via) == (tracking.Aliases("1", two), "lapse", None)


def test_an_approval_counts_for_nothing_when_the_champion_has_changed_since_the_judgement(trained_project):
    two, three = propose(trained_project), propose(trained_project)
    answered(trained_project, three, YES)
    outcome = answered(trained_project, two, YES)
    assert outcome.verdict == "challenger"
    assert outcome.reason == (
        "approved by anna@laptop (fashion approve: looks right), but the champion changed since the judgement: "
        f"version 1 then, version {three} now"
    )
    assert state(trained_project, two)[0].champion == three


def test_an_approval_holds_when_the_judged_champion_is_champion_again(trained_project):
    two, three = propose(trained_project), propose(trained_project)
    promote(trained_project, load(trained_project), three, "a try")
    promote(trained_project, load(trained_project), "1", "back again")
    assert answered(trained_project, two, YES).verdict == "champion"


@pytest.mark.parametrize("second", [YES, NO, None], ids=["approved", "refused", "nobody"])
def test_the_first_answer_counts_and_a_later_one_is_told(trained_project, second):
    two = propose(trained_project)
    answered(trained_project, two, NO)
    before = list_changes(trained_project, load(trained_project))
    assert answered(trained_project, two, second).reason == "refused by Bob (Prefect's page): too slow"
    assert list_changes(trained_project, load(trained_project)) == before


def test_a_version_promoted_by_hand_meanwhile_stays_champion_whatever_is_answered(trained_project):
    two = propose(trained_project)
    promote(trained_project, load(trained_project), two, "in a hurry")
    _, (verdict, reason), change = state(trained_project, two)
    assert (verdict, reason) == ("champion", f"promoted by {change.who}: in a hurry")
    assert answered(trained_project, two, NO).verdict == "champion"
    assert state(trained_project, two)[0].champion == two


@pytest.mark.parametrize("given", [YES, NO, None], ids=["approved", "refused", "nobody"])
def test_a_version_promoted_by_hand_and_rolled_back_meanwhile_is_not_champion_whatever_is_answered(
    trained_project, given
):
    two = propose(trained_project)
    promote(trained_project, load(trained_project), two, "in a hurry")
    who = state(trained_project, two)[2].who
    roll_back(trained_project, load(trained_project), None, "it is worse")
    outcome = answered(trained_project, two, given)
    because = f"version 1 has become champion since; before: promoted by {who}: in a hurry"
    assert (outcome.verdict, outcome.reason) == ("challenger", because)
    assert state(trained_project, two)[0].champion == "1"


def test_an_answer_that_was_carried_out_but_not_noted_is_noted_the_next_time(trained_project, monkeypatch):
    two = propose(trained_project)
    with monkeypatch.context() as patch:
        patch.setattr(approval, "note_outcome", lambda *_: pytest.fail("killed here"))
        with pytest.raises(pytest.fail.Exception):
            answered(trained_project, two, YES)
    assert state(trained_project, two)[1][0] == "challenger"
    answered(trained_project, two, None)
    assert state(trained_project, two)[1] == ("champion", "approved by anna@laptop (fashion approve): looks right")


def test_what_is_typed_into_the_page_becomes_one_printable_line(trained_project):
    two = propose(trained_project)
    answered(trained_project, two, Answer(False, "", "Prefect's page", "no\n\x1b[31m | *really* not " + "!" * 5000))
    change = state(trained_project, two)[2]
    assert change.who == "somebody"
    assert change.reason.startswith("no [31m | *really* not !!!")
    assert len(change.reason) == 1000


def test_a_version_that_was_deleted_cannot_be_approved(trained_project):
    with pytest.raises(PromotionError, match="has no version 77"):
        answered(trained_project, "77", YES)


@pytest.mark.advice("fashion promote --reason", "cli/pipeline.py")
def test_registering_by_hand_only_proposes_and_says_how_to_promote(trained_project, monkeypatch):
    edit_params(trained_project, {"register": {"name": "asked", "approval": "required"}})
    monkeypatch.setenv("FASHION_HOME", str(trained_project.root))
    result = CliRunner().invoke(app, ["register"])
    assert result.exit_code == 0, result.output
    assert "asked version 1: challenger" in result.output
    assert "because awaits approval: all gates passed; there was no champion" in result.output
    again = register(trained_project, load(trained_project))
    assert (again.approval, again.created) == ("awaited", False)
    ledger = tracking.read_ledger(registry_of(trained_project, load(trained_project)))
    assert ledger.aliases == tracking.Aliases(None, "1")
    follow(trained_project, result.output, "fashion promote 1 --reason '...'")
    after = register(trained_project, load(trained_project))
    assert (after.verdict, after.approval) == ("champion", "none")


def test_nobody_is_asked_about_what_the_judgement_refuses(trained_project):
    changes = {"register": {"approval": "required"}, "evaluate": {"gates": {"accuracy_at_least": 0.01}}}
    params = edit_params(trained_project, changes)
    evaluate(trained_project, params)  # The champion's own model, measured again: a tie.
    refused = register(trained_project, params)
    assert (refused.verdict, refused.approval) == ("challenger", "none")
    assert not refused.reason.startswith("awaits")


@contextmanager
def prefect_that_answers(status, body):
    class Answering(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            # A connection that is closed with the question unread is reset, and the answer lost.
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()


@pytest.mark.parametrize("address", ["", "nonsense", "http://127.0.0.1:9/api", "http://[::1", "http://\x00/api"])
def test_without_a_server_the_command_says_make_up(address):
    with pytest.raises(ServiceError, match=r"No Prefect server answers at .*make up"):
        orchestration.find_paused_run(address, "2")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>"),
        (200, b"{}"),
        (200, b'[{"id": 1}]'),
        (200, b"[" * 100_000),
        (500, b"no"),
        (403, b""),
    ],
)
def test_an_answer_that_is_none_of_prefects_is_an_error_that_says_so(status, body):
    said = r"127\.0\.0\.1.* (answered|gave) "
    with prefect_that_answers(status, body) as address, pytest.raises(ServiceError, match=said):
        orchestration.find_paused_run(address, "2")


def test_a_number_means_a_version_of_the_projects_own_model(project, monkeypatch):
    """Many projects may use one Prefect server, and a project may have had another register.name before."""
    run = {"id": str(UUID(int=1)), "name": "a run", "tags": ["approval:digits/2"], "state": None}
    with prefect_that_answers(200, json.dumps([run]).encode()) as address:
        monkeypatch.setenv("PREFECT_API_URL", address)
        with pytest.raises(ServiceError, match=r"is 'fashion-classifier/2'\. [^\n]*\n  digits/2, run "):
            answer(load(project), "2", True, "looks right")
        for wanted in (run["id"], "a run", "digits/2"):
            assert orchestration.find_paused_run(address, wanted).about == "digits/2"
