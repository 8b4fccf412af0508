"""What people read on MLflow's pages: descriptions, the kind of an experiment, a view of its runs, links between runs.

What a person has written there stays: a tag or a description is set where there is none.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException

from fashion.adapters.tracking.address import Registry, in_words
from fashion.adapters.tracking.tags import FLOW_RUN, FLOW_RUN_ADDRESS, FLOW_RUN_ID
from fashion.text import escape_markdown

NOTE, KIND = "mlflow.note.content", "mlflow.experimentKind"
"""The tags that MLflow's page shows as a description, and takes as the kind of an experiment."""
TRAINING_KIND = "custom_model_development"
VIEW = "fashion-accuracy"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
"""The tag in which MLflow 3 keeps a named view of the table of runs, behind the button Views."""
COLUMNS = ("metrics.`test/accuracy`", "metrics.`test/corrected_calibration_error`", "params.`recipe`", "params.`seed`")
TRAINING_PAGES = "workflowType=machine_learning"
"""In an address: MLflow 3.17 otherwise shows its pages for language models, whatever the kind of the experiment."""


@dataclass(frozen=True)
class FlowRun:
    """A run of Prefect."""

    name: str
    id: str
    address: str | None
    """Of its page; none where its server ends with the run."""


def describe_trainings(client: MlflowClient, experiment: Experiment) -> None:
    """Give the experiment of the trainings what it lacks: a description, its kind, and a view with the accuracy."""
    number = experiment.experiment_id
    address = f"#/experiments/{number}/runs?viewStateShareKey={VIEW}&{TRAINING_PAGES}"
    words = (
        f"One run for each training. [All runs with their accuracy]({address}) (also behind the button Views).\n\n"
        "On the page of a run, Model metrics shows the curves first (`epochs/`, a point for each epoch), then the "
        "figures on the test set (`test/`). What became of a model stands in the model registry."
    )
    view = {
        "name": "Accuracy",
        "createdAt": experiment.creation_time,
        "state": json.dumps({"selectedColumns": COLUMNS}),
    }
    add_tags(client, experiment, {KIND: TRAINING_KIND, NOTE: words, VIEW_TAG: json.dumps(view)})


def add_tags(client: MlflowClient, experiment: Experiment, tags: Mapping[str, str]) -> None:
    """Set those tags that the experiment does not have."""
    for name in tags.keys() - experiment.tags.keys():
        client.set_experiment_tag(experiment.experiment_id, name, tags[name])


def describe_model(client: MlflowClient, name: str, description: str) -> None:
    """Make the registered model if it is not there, and describe it unless somebody did."""
    try:
        client.create_registered_model(name, description=description)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        if not client.get_registered_model(name).description:
            client.update_registered_model(name, description)


def describe_run(client: MlflowClient, run_id: str, line: str) -> None:
    """Add a paragraph to the description of a run, once."""
    note = client.get_run(run_id).data.tags.get(NOTE, "")
    if line not in note:
        client.set_tag(run_id, NOTE, f"{note}\n\n{line}".strip())


@in_words
def link_flow_run(registry: Registry, run_id: str, flow_run: FlowRun) -> str:
    """Say on the page of a training which Prefect run made it, unless it says so already; return that page's path.

    The path begins with #, behind the address of an MLflow server.
    """
    client = MlflowClient(registry.uri)
    run = client.get_run(run_id)
    if FLOW_RUN_ID not in run.data.tags:
        name = escape_markdown(flow_run.name)
        shown = f"[{name}]({flow_run.address})" if flow_run.address else f"{name} ({flow_run.id})"
        describe_run(client, run_id, f"Prefect run: {shown}.")
        tags = {FLOW_RUN: flow_run.name, FLOW_RUN_ADDRESS: flow_run.address, FLOW_RUN_ID: flow_run.id}
        for tag, value in tags.items():
            if value:
                client.set_tag(run_id, tag, value)
    return f"#/experiments/{run.info.experiment_id}/runs/{run_id}?{TRAINING_PAGES}"
