"""What people should hear of: alarms, retrainings, promotions, failures.

Always in the log and among the artifacts of Prefect's page; and sent to FASHION_NOTIFY, if that is set: the address of
a webhook, or a notification block of Prefect's (`slack-webhook/team`).
"""

import logging
from typing import Any, cast

import httpx
from prefect import Flow
from prefect.artifacts import create_markdown_artifact
from prefect.blocks.abstract import NotificationBlock, NotificationError
from prefect.blocks.core import Block
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import PrefectException

from fashion.settings import load_settings
from fashion.text import escape_markdown

KEY = "announcements"
SEND_SECONDS = 10.0
UNSENT = (httpx.HTTPError, httpx.InvalidURL, NotificationError, PrefectException, TypeError, ValueError)
logger = logging.getLogger("fashion.announcements")


def announce(title: str, text: str) -> bool:
    """Tell everybody; the log gets the first line. Return whether FASHION_NOTIFY was told."""
    logger.warning("%s: %s", title, text.partition("\n")[0])
    words = f"# {escape_markdown(title)}\n\n{escape_markdown(text)}"
    create_markdown_artifact(words, key=KEY, description=escape_markdown(title))
    notify = load_settings().notify
    if notify is None:
        return True
    try:
        _send(notify.get_secret_value(), title, text)
    except UNSENT as error:
        # The address may hold a secret, and the error's words may hold the address.
        logger.warning("Nobody was notified, see FASHION_NOTIFY: %s", type(error).__name__)
        return False
    return True


def announce_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Announce that a flow failed; a hook of flows."""
    announce(f"{flow.name} {(state.name or 'failed').lower()}", f"Run {flow_run.name}: {state.message}")


def _send(destination: str, title: str, text: str) -> None:
    if destination.startswith(("http://", "https://")):
        content = {"title": title, "text": f"{title}: {text}"}
        httpx.post(destination, json=content, timeout=SEND_SECONDS).raise_for_status()
        return
    block = Block.load(destination)
    if not isinstance(block, NotificationBlock):
        raise TypeError(f"{destination} is no notification block")
    with block.raise_on_failure():  # Otherwise Slack's, and most others, say nothing of what they could not deliver.
        cast("Any", block).notify(text, title)  # Outside a coroutine it waits by itself.
