"""The string that Prefect's servers ask for, in Prefect's own file of settings."""

import stat

import pytest
from prefect.context import refresh_global_settings_context
from prefect.settings import get_current_settings

from fashion.settings import headers_for_prefect
from flows.authentication import require_authentication


@pytest.fixture
def profiles(project, monkeypatch):
    """Where the strings stand. What the test changes in the environment is taken back."""
    for name in ("PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    yield project.state / "prefect" / "profiles.toml"
    monkeypatch.undo()
    refresh_global_settings_context()


def strings():
    """What server and clients know of each other; `fashion approve` is one that reads by itself."""
    api, server = get_current_settings().api.auth_string, get_current_settings().server.api.auth_string
    return [string and string.get_secret_value() for string in (api, server)]


def test_it_is_made_once_for_server_and_clients_and_its_file_is_the_owners(project, profiles):
    assert headers_for_prefect() == {}
    require_authentication(project)
    made = strings()
    assert made[0] == made[1]
    assert len(made[0]) > 30
    assert stat.S_IMODE(profiles.stat().st_mode) == 0o600
    assert headers_for_prefect()["Authorization"].startswith("Basic ")
    require_authentication(project)
    assert strings() == made
