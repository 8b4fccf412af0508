"""Runs whose process is gone do not stay `Running`: an automation of Prefect's that misses their heartbeats.

A flow sends a heartbeat every PREFECT_FLOWS_HEARTBEAT_FREQUENCY seconds (defaults.env). What was killed while the
server was down, too, is found when the server is back: it keeps what it waits for in its database.
"""

from datetime import timedelta

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

NAME = "Crash runs without a heartbeat"
SILENCE = timedelta(seconds=90)
"""Three heartbeats."""


def crash_dead_runs(client: SyncPrefectClient) -> None:
    """Make the automation, unless it is there.

    Any event of a run is a sign of life. Prefect's own recipe lists final states by name, and would crash our runs that
    end under a name of their own (NotPromoted) some time after they have ended.
    """
    if client.read_automations_by_name(NAME):
        return
    trigger = EventTrigger(
        after={"prefect.flow-run.heartbeat"},
        expect={"prefect.flow-run.*"},
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=SILENCE,
    )
    message = "Its process sent no heartbeat any more."
    crash = ChangeFlowRunState(name=None, state=StateType.CRASHED, message=message, force=False)
    client.create_automation(AutomationCore(name=NAME, trigger=trigger, actions=[crash]))
