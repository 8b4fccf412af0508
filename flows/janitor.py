"""Runs whose process is gone do not stay `Running`: an automation of Prefect's that misses their heartbeats.

A flow sends a heartbeat every PREFECT_FLOWS_HEARTBEAT_FREQUENCY seconds (.env). What was killed while the server was
down, too, is found when the server is back: it keeps what it waits for in its database.
"""

from datetime import timedelta

from prefect.automations import Automation
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

NAME = "Crash runs without a heartbeat"
SILENCE = timedelta(seconds=90)
"""Three heartbeats."""


def crash_dead_runs() -> None:
    """Make the automation, unless it is there.

    Any event of a run is a sign of life. Prefect's own recipe lists final states by name, and would crash our runs that
    end under a name of their own (NotPromoted) some time after they have ended.
    """
    try:
        Automation.read(name=NAME)
    except ValueError:
        Automation(
            name=NAME,
            trigger=EventTrigger(
                after={"prefect.flow-run.heartbeat"},
                expect={"prefect.flow-run.*"},
                match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
                for_each={"prefect.resource.id"},
                posture=Posture.Proactive,
                threshold=1,
                within=SILENCE,
            ),
            actions=[ChangeFlowRunState(state=StateType.CRASHED, message="Its process sent no heartbeat any more.")],
        ).create()
