"""The deployments on a Prefect server, and what a person switched off there."""

import asyncio

import pytest
from prefect import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.states import Completed, Crashed, Pending, Running
from prefect.variables import Variable
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker

from fashion.errors import ServiceError
from flows.services.deployments import NOTE, deploy
from flows.services.pool import create_pool

ALL = {
    "training/default",
    "monitoring/default",
    "hourly",
    "retraining/weekly",
    "weekly",
    "retraining/on-drift",
    "tuning/default",
    "scoring/default",
    "on-drift__automation_1",
}
"""What can be switched off: deployments, schedules, an automation."""


@pytest.fixture
def client(project, at_server):
    at_server(project)
    with get_client(sync_client=True) as client:
        create_pool(client, "fashion")
        yield client


def switched_off(client):
    """By the names that a person knows."""
    found = {}
    for deployment in client.read_deployments():
        found[f"{client.read_flow(deployment.flow_id).name}/{deployment.name}"] = not deployment.paused
        found |= {schedule.slug: schedule.active for schedule in deployment.schedules}
    found |= {automation.name: automation.enabled for automation in client.read_automations()}
    assert found.keys() == ALL
    return {name for name, on in found.items() if not on}


def describe(project, text):
    """Change what the deployment `weekly` says of itself."""
    path = project.root / "prefect.yaml"
    old = "Retrain on new labels, every week."
    path.write_text(path.read_text().replace(old, text))


def check_due_runs(client):
    """Of the hourly runs that became due while no worker was there one starts; every training is kept."""
    deployments = {one.entrypoint: one.id for one in client.read_deployments()}
    monitoring, training = (
        [client.create_flow_run_from_deployment(deployments[f"flows/{name}.py:{name}"]).id for _ in range(3)]
        for name in ("monitoring", "training")
    )

    def propose(run, state):
        return client.set_flow_run_state(run, state).state.type

    # A worker asks this for every run that is due, before it starts a process.
    assert [propose(run, Pending()) for run in monitoring] == ["PENDING", "CANCELLED", "CANCELLED"]
    assert [propose(run, Pending()) for run in training] == ["PENDING"] * 3
    propose(monitoring[0], Crashed())
    following = client.create_flow_run_from_deployment(deployments["flows/monitoring.py:monitoring"]).id
    assert [propose(following, state) for state in (Pending(), Running(), Completed())][:2] == ["PENDING", "RUNNING"]


def test_what_a_person_switched_off_stays_off_when_deployments_are_made_again(project, client):
    deploy(project, client)
    assert switched_off(client) == set()
    check_due_runs(client)  # Here, as it takes ten seconds to make the deployments.

    (training,) = (one for one in client.read_deployments() if one.entrypoint == "flows/training.py:training")
    (weekly,) = (one for one in client.read_deployments() if one.name == "weekly")
    (automation,) = client.read_automations()
    client.pause_deployment(training.id)
    client.update_deployment_schedule(weekly.id, weekly.schedules[0].id, active=False)
    client.pause_automation(automation.id)
    chosen = {"training/default", "weekly", "on-drift__automation_1"}
    assert switched_off(client) == chosen

    deploy(project, client)
    assert switched_off(client) == chosen
    assert client.read_automations()[0].id == automation.id, "Nothing has changed: nothing is made again."

    # The file has changed, and the power went when Prefect had switched the training on.
    describe(project, "Learn on Mondays.")
    client.resume_deployment(training.id)
    Variable.set(NOTE, {"off": [str(training.id)]}, overwrite=True)
    deploy(project, client)
    assert client.read_deployment(weekly.id).description == "Learn on Mondays."
    assert switched_off(client) == chosen

    (project.root / "prefect.yaml").write_text("deployments: [{name: weekly, entrypoint: flows/nothing.py:nothing}]")
    with pytest.raises(ServiceError, match=r"deployments of prefect\.yaml cannot be made"):
        deploy(project, client)


def test_a_pool_that_is_there_loses_the_command_and_keeps_what_else_was_set(project, at_server):
    at_server(project)
    with get_client(sync_client=True) as client:
        check_pools(client)


def check_pools(client):
    template = ProcessWorker.get_default_base_job_template()
    template["variables"]["properties"]["stream_output"]["default"] = False
    client.create_work_pool(WorkPoolCreate(name="old", type="process", base_job_template=template))
    for _ in range(2):
        create_pool(client, "old")
        kept = client.read_work_pool("old").base_job_template
        assert kept["variables"]["properties"].keys() == template["variables"]["properties"].keys() - {"command"}
        assert kept["variables"]["properties"]["stream_output"]["default"] is False
        assert "command" not in kept["job_configuration"]
    create_pool(client, "new")
    template = client.read_work_pool("new").base_job_template
    made = asyncio.run(ProcessJobConfiguration.from_template_and_values(template, {"command": "touch evil"}))
    assert made.command is None
