"""The flow `scoring` against a real Prefect server."""

import pandas as pd
from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from flows.scoring import scoring


def test_the_flow_answers_a_source_shows_what_came_of_it_and_goes_on(trained_project, at_server):
    at_server(trained_project)
    (source,) = (path.relative_to(trained_project.root) for path in trained_project.data.glob("t10k-images*"))
    state = scoring(source=str(source), output="answers", pictures_a_shard=150, return_state=True)
    assert state.is_completed(), state.message
    assert state.message.startswith("200 pictures: 200 answers, of which ")
    assert len(pd.read_parquet(trained_project.root / "answers")) == 200
    with get_client(sync_client=True) as client:
        own = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
        (shown,) = client.read_artifacts(flow_run_filter=own)
        run = client.read_flow_run(state.state_details.flow_run_id)
    assert run.name.startswith(f"scoring, {source.name}, ")
    assert shown.description == state.message
    assert "| class | answers | share |" in shown.data

    refused = scoring(source=str(source), output="answers", pictures_a_shard=0, return_state=True)
    assert refused.is_failed()
    assert "pictures_a_shard is 0; expected 1 to 100,000" in refused.message
