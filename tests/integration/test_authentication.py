"""The string that Prefect's servers ask for, in Prefect's own file of settings."""

import stat

import pytest
from prefect.context import refresh_global_settings_context
from prefect.settings import get_current_settings

from fashion.errors import ServiceError
from fashion.settings import headers_for_prefect
from flows.services.authentication import require_authentication


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


def test_an_active_profile_that_is_there_already_gets_it_and_keeps_the_rest(project, profiles):
    profiles.parent.mkdir(parents=True)
    profiles.write_text('active = "mine"\n[profiles.mine]\nPREFECT_LOGGING_LEVEL = "WARNING"\n', encoding="utf-8")
    require_authentication(project)
    made = strings()
    assert made[0] == made[1] is not None
    assert headers_for_prefect()
    assert get_current_settings().logging.level == "WARNING"
    assert 'active = "mine"' in profiles.read_text(encoding="utf-8")
    assert stat.S_IMODE(profiles.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"])
def test_a_string_that_is_set_for_one_side_counts_for_both(project, profiles, monkeypatch, name):
    monkeypatch.setenv(name, "ann:of her own choice")
    require_authentication(project)
    assert strings() == ["ann:of her own choice"] * 2


def test_two_strings_that_differ_start_no_server(project, profiles, monkeypatch):
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "ann:one")
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "ann:another")
    with pytest.raises(ServiceError, match="PREFECT_SERVER_API_AUTH_STRING and PREFECT_API_AUTH_STRING differ"):
        require_authentication(project)


def test_a_file_whose_active_profile_is_missing_starts_no_server_that_asks_nobody(project, profiles):
    profiles.parent.mkdir(parents=True)
    profiles.write_text('active = "gone"\n[profiles.mine]\n', encoding="utf-8")
    with pytest.raises(ServiceError, match="active profile"):
        require_authentication(project)


def test_profiles_that_prefect_keeps_elsewhere_are_found_by_everybody(project, profiles, monkeypatch, tmp_path):
    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(tmp_path / "mine.toml"))
    assert require_authentication(project) == tmp_path / "mine.toml"
    assert headers_for_prefect()
    assert not profiles.exists()
