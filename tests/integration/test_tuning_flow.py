"""The flow `tuning` against a real Prefect server."""

import yaml
from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from flows.tuning import tuning
from tests.servers import read_task_runs


def test_the_flow_brings_the_data_up_to_date_searches_and_shows_what_it_found(trained_project, at_server):
    at_server(trained_project)
    content = yaml.safe_load(trained_project.params.read_text())
    content["tune"] = {
        "space": {"learning_rate": {"choices": [content["train"]["recipes"]["baseline"]["learning_rate"]]}}
    }
    trained_project.params.write_text(yaml.safe_dump(content))
    state = tuning(study="mine", trials=1, return_state=True)
    # Nothing but the recipe in use was tried, so there was nothing to compare it with.
    assert state.message == "There was no complete trial besides baseline: nothing to compare it with."
    assert state.name == "Completed", state.message
    tasks = read_task_runs(state.state_details.flow_run_id)
    with get_client(sync_client=True) as client:
        own = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
        artifacts = client.read_artifacts(flow_run_filter=own)
        run = client.read_flow_run(state.state_details.flow_run_id)
    assert [task.name for task in tasks] == ["fetch", "validate", "prepare", "search"]
    assert run.name.startswith("tuning, study mine, ")
    shown = next(artifact for artifact in artifacts if artifact.key == "tuning")
    assert shown.description == state.message
    assert "## All trials" in shown.data
    assert (trained_project.tuning / "mine" / "summary.md").exists()


def test_a_budget_of_zero_fails_before_anything_is_done(trained_project, at_server):
    at_server(trained_project)
    state = tuning(trials=0, return_state=True)
    assert state.is_failed()
    assert "expected at least one trial" in state.message
