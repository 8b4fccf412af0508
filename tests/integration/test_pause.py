"""What becomes of an answer to a paused run, at every moment at which it can be given: a real Prefect server on SQLite.

The moments are forced, in the run by wrapping the calls of Prefect's client, in the server by orders in a folder.
"""

import itertools
import os
import socket
import subprocess
import sys
import time
from datetime import timedelta
from types import SimpleNamespace
from uuid import UUID

import httpx
import pytest
from prefect import flow, get_client, tags
from prefect.client.orchestration import SyncPrefectClient
from prefect.context import refresh_global_settings_context
from prefect.exceptions import CancelledRun
from prefect.states import Cancelled, Completed, Running

from fashion.adapters import orchestration
from fashion.errors import ServiceError
from fashion.paths import Project
from fashion.registry.register import Registration
from flows import approval
from flows.pipeline import unless_stopped
from flows.services.server import SETTINGS, answers, deliver
from tests.conftest import use_environment
from tests.projects import SOURCE
from tests.servers import end, wait_until

SERVER = """
import os, sqlite3, sys
from pathlib import Path

from prefect.server import models
from prefect.server.api import server
from starlette.responses import PlainTextResponse

from flows.services.server import main

ORDERS = Path(sys.argv[2])
set_state, create_app = models.flow_runs.set_flow_run_state, server.create_app


def ordered(name):
    left = int((ORDERS / name).read_text()) if (ORDERS / name).exists() else 0
    (ORDERS / name).write_text(str(max(left - 1, 0)))
    return left > 0


async def set_state_after_another_write(**arguments):
    if "force" not in arguments and ordered("write between"):  # Asked for by a resume.
        with sqlite3.connect(Path(os.environ["PREFECT_HOME"], "prefect.db")) as database:
            database.execute("UPDATE flow SET name = name")
    return await set_state(**arguments)


def app():
    whole = create_app()

    async def answering(scope, receive, send):
        if scope["type"] == "http" and scope["path"].endswith("/resume") and ordered("lose the answer"):
            async def lost(_):
                pass
            await whole(scope, receive, lost)
            await PlainTextResponse("lost", 500)(scope, receive, send)
        elif scope["type"] == "http" and scope["path"].endswith("-response") and ordered("keep the answer to yourself"):
            await PlainTextResponse("away", 500)(scope, receive, send)
        elif scope["type"] == "http" and scope["method"] == "GET" and ordered("be away"):
            await PlainTextResponse("away", 500)(scope, receive, send)
        else:
            await whole(scope, receive, send)

    return answering


models.flow_runs.set_flow_run_state, server.create_app = set_state_after_another_write, app
main(int(sys.argv[1]))
"""

LOOKS = 600
"""After so many in vain a run waits for what does not come."""
QUESTION = Registration(
    "asked", "1", "0a", created=True, verdict="challenger", reason="better in accuracy", judgement=None
)
YES = {"decision": "approve", "reason": "looks right", "who": "Ann"}
NO = {"decision": "refuse", "reason": "too slow", "who": "Bob"}


@pytest.fixture(scope="module")
def own_server(tmp_path_factory):
    """A Prefect server that takes orders: its address, and the folder of the orders."""
    home, orders = Project(tmp_path_factory.mktemp("server")), tmp_path_factory.mktemp("orders")
    home.state.mkdir()
    with (
        pytest.MonkeyPatch.context() as patch,
        socket.create_server(("127.0.0.1", 0)) as listener,
        (home.root / "log").open("wb") as log,
    ):
        use_environment(home, patch)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(listener.fileno()), str(orders)],
            cwd=SOURCE,
            env={**os.environ, **SETTINGS, "PREFECT_API_URL": address},
            pass_fds=[listener.fileno()],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until(lambda: process.poll() is not None or answers(address))
        assert process.poll() is None, (home.root / "log").read_text()[-2000:]
        yield address, orders
    finally:
        deliver()
        process.stdin.close()
        end(process)


@pytest.fixture
def address(own_server, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", own_server[0])
    refresh_global_settings_context()
    return own_server[0]


@pytest.fixture
def order(own_server):
    """Tell the server what to do with the next requests, this many times."""
    yield lambda what, times=1: (own_server[1] / what).write_text(str(times))
    for left in own_server[1].iterdir():
        left.unlink()


@pytest.fixture
def moments(address, monkeypatch):
    """What happens when the run has paused, after each of its looks, and before it goes on by itself."""
    monkeypatch.setattr(approval, "POLL_SECONDS", 0.05)
    look, set_state = SyncPrefectClient.read_flow_run, SyncPrefectClient.set_flow_run_state
    moments = SimpleNamespace(looked=[], paused=[], going_on=[], change_pause=lambda _: None, idle=itertools.count())

    def look_and(client, run):
        found = look(client, run)
        if found.state.is_paused() and moments.looked:
            moments.looked.pop(0)(found.id)
        elif not found.state.is_running() and next(moments.idle) > LOOKS:
            pytest.fail("the run goes on waiting")
        return found

    def set_state_and(client, run, state, force=False):
        if state.is_paused():
            moments.change_pause(state)
        elif force and moments.going_on:
            moments.going_on.pop(0)(run)
        result = set_state(client, run, state, force=force)
        if state.is_paused() and moments.paused:
            moments.paused.pop(0)(run)
        return result

    monkeypatch.setattr(SyncPrefectClient, "read_flow_run", look_and)
    monkeypatch.setattr(SyncPrefectClient, "set_flow_run_state", set_state_and)
    return moments


def ask(days=7.0):
    """What a run is answered; every moment that was asked for has come."""

    @flow(name="asking")
    def asking():
        return unless_stopped(lambda: Completed(data=approval.ask(QUESTION, days)))

    with tags("approval:asked/1"):
        return form_of(asking())


def form_of(answer):
    """What was typed into the form; none if nobody answered."""
    return answer and {name: getattr(answer, name) for name in YES}


def post(address, run, form):
    """What Prefect says to a click on Submit, made as its page makes it."""
    return httpx.post(f"{address}/flow_runs/{run}/resume", json={"run_input": form}, timeout=None)


def click(address, run, form):
    """What it says at last: when it could take nothing, its database being busy, Submit is pressed again."""
    while (said := post(address, run, form)).status_code == 503:
        time.sleep(0.2)
    return said.json()


def command(address, form):
    """The same with the command."""
    orchestration.resume(address, orchestration.find_paused_run(address, "asked/1"), form)


def test_a_click_that_prefect_takes_while_the_run_looks_is_carried_out(address, moments):
    said = []
    moments.looked = [lambda run: said.append(click(address, run, YES)["status"])]
    assert ask() == YES
    assert said == ["ACCEPT"]


def test_whoever_sees_the_pause_can_answer_at_once(address, moments):
    said = []
    moments.paused = [lambda run: said.append(click(address, run, YES))]
    moments.looked = [lambda run: pytest.fail(f"the run still waits: {said}")]
    assert ask() == YES


def test_a_form_without_a_choice_leaves_the_run_waiting_and_the_next_click_counts(address, moments):
    said = []

    def submit(form):
        return lambda run: said.append(click(address, run, form))

    moments.looked = [submit({}), submit({"decision": "perhaps"}), submit(NO)]
    assert ask() == NO
    assert [answer["status"] for answer in said] == ["REJECT", "REJECT", "ACCEPT"]
    assert "decision" in said[0]["details"]["reason"]
    assert "perhaps" in said[1]["details"]["reason"]


def test_a_click_beside_another_write_to_the_database_is_refused_without_a_status_and_changes_nothing(
    address, moments, order
):
    """Prefect reads within its transaction before it writes; SQLite refuses the write if another one came between."""
    said = []

    def submit(run):
        order("write between")
        said.append(post(address, run, YES))
        with get_client(sync_client=True) as client:
            keys = httpx.post(f"{address}/flow_runs/{run}/input/filter", json={"prefix": "paused", "limit": 9}).json()
            assert [key["key"].rpartition("-")[2] for key in keys] == ["schema", "description"]
            assert client.read_flow_run(UUID(str(run))).state.is_paused()
        said.append(click(address, run, NO))

    moments.looked = [submit]
    assert ask() == NO
    assert (said[0].status_code, said[0].json()) == (503, {"exception_message": "Service Unavailable"})
    assert said[1]["status"] == "ACCEPT"


def test_the_command_answers_again_when_prefect_says_neither_yes_nor_no(address, moments, order):
    moments.looked = [lambda _: (order("write between"), command(address, YES))]
    assert ask() == YES


def test_the_command_finds_that_its_answer_was_taken_though_prefect_could_not_say_so(address, moments, order):
    moments.looked = [lambda _: (order("lose the answer"), command(address, YES))]
    assert ask() == YES


def test_the_command_is_not_content_with_the_answer_of_another(address, moments, order):
    def answer(run):
        waiting = orchestration.find_paused_run(address, "asked/1")
        click(address, run, NO)
        order("lose the answer")
        with pytest.raises(ServiceError, match="too late"):
            orchestration.resume(address, waiting, YES)

    moments.looked = [answer]
    assert ask() == NO


def test_the_command_says_what_to_do_when_prefect_goes_on_saying_neither(address, moments, order):
    def answer(run):
        order("write between", times=99)
        with pytest.raises(ServiceError, match="same command again") as caught:
            command(address, YES)
        assert "503" in str(caught.value)
        order("write between", times=0)
        command(address, NO)

    moments.looked = [answer]
    assert ask() == NO


def test_a_click_that_prefect_takes_at_the_last_moment_is_carried_out(address, moments):
    """The server's clock is a day behind: it takes a click between the run's last look and its going on."""
    said = []

    def one_day_later(state):
        state.state_details.pause_timeout += timedelta(days=1)

    moments.change_pause = one_day_later
    moments.going_on = [lambda run: said.append(click(address, run, YES)["status"])]
    assert ask(days=1 / 86_400) == YES
    assert said == ["ACCEPT"]


def test_when_the_time_is_over_on_the_servers_clock_the_run_goes_on_without_an_answer(address, moments):
    said = []

    def one_month_earlier(state):
        state.state_details.pause_timeout -= timedelta(days=30)

    moments.change_pause = one_month_earlier
    moments.looked = [lambda run: said.append(click(address, run, YES)), lambda _: pytest.fail("still paused")]
    assert ask() is None
    # Prefect itself looks for pauses whose time is over, too: where it was first, nothing is paused any more.
    assert said[0]["status"] in ("REJECT", "ABORT")


def test_without_an_answer_in_time_there_is_none(moments):
    assert ask(days=1 / 86_400) is None


def test_a_pause_that_prefect_could_not_confirm_is_waited_for_all_the_same(address, moments, monkeypatch):
    """Prefect's client repeats the request, and is told that the run has paused already."""
    send = httpx.Client.send
    lost = []

    def send_and_lose(client, request, **arguments):
        response = send(client, request, **arguments)
        if not lost and b'"PAUSED"' in request.content:
            lost.append(request)
            raise httpx.ReadError("lost", request=request)
        return response

    monkeypatch.setattr(httpx.Client, "send", send_and_lose)
    moments.looked = [lambda run: click(address, run, YES)]
    assert ask() == YES
    assert lost


@pytest.mark.parametrize("what", ["be away", "keep the answer to yourself"])
def test_a_server_that_is_away_for_a_while_is_waited_for(address, moments, order, what):
    moments.looked = [lambda run: (click(address, run, YES), order(what, times=3))]
    assert ask() == YES


def test_a_run_that_is_tried_again_asks_again_and_an_earlier_answer_does_not_count(address, moments):
    given = []

    @flow(name="asking", retries=3)
    def asking():
        given.append(form_of(approval.ask(QUESTION, 7.0)))
        if len(given) == 1:
            raise RuntimeError("MLflow is away")
        return Completed()

    moments.looked = [lambda run: click(address, run, YES), lambda run: click(address, run, NO)]
    asking(return_state=True)
    assert given == [YES, NO]


def test_a_run_that_was_set_running_by_hand_has_no_approval(moments):
    def by_hand(run):
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run, Running(), force=True)

    moments.looked = [by_hand]
    assert ask() == {"decision": "refuse", "reason": "the run was resumed without an answer", "who": ""}


def test_a_run_that_is_cancelled_in_the_page_ends(moments):
    def by_hand(run):
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run, Cancelled(), force=True)

    moments.looked = [by_hand, lambda _: pytest.fail("the run still waits")]
    with pytest.raises(CancelledRun):
        ask()


def test_the_command_waits_for_the_end_of_the_run_beside_an_answer_of_prefects_that_is_none(address, moments, order):
    said = []

    def answer(_):
        waiting = orchestration.find_paused_run(address, "asked/1")
        orchestration.resume(address, waiting, YES)
        said.append(waiting)

    moments.looked = [answer]
    ask()
    order("be away", times=2)
    assert orchestration.await_end(address, said[0]) == "COMPLETED"
