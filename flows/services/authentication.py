"""Who may use the Prefect servers that are started here: whoever can read the project's string.

Prefect reads it itself, as server and as client, from the active profile in PREFECT_HOME; its page asks for it.
"""

import secrets
from pathlib import Path

from prefect.context import refresh_global_settings_context
from prefect.settings import get_current_settings, update_current_profile

from fashion.errors import ServiceError
from fashion.locks import hold
from fashion.paths import Project

USER = "fashion"
SERVER, CLIENT = "PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"


def require_authentication(project: Project) -> Path:
    """Make the string, unless there is one: for every server that starts from now on. Return the file it stands in.

    Raises:
        ServiceError: what servers ask for and what clients of this project say are not the same.
    """
    with hold(project.state / "authentication.lock", on_wait=lambda _: None):
        server, client = _strings()
        path = Path(get_current_settings().profiles_path)
        if server is None or client is None:
            _write(path, server or client or f"{USER}:{secrets.token_urlsafe(24)}")
            server, client = _strings()
        if server is None or server != client:
            raise ServiceError(
                f"The Prefect server was not started; it would refuse this project's own runs: {SERVER} and {CLIENT} "
                f"differ, or {path} names an active profile that it does not hold. Set both variables to the same "
                "string, or neither, and let the file name a profile of its own as active"
            )
        return path


def _strings() -> tuple[str | None, str | None]:
    """Return what a server asks for and what a client says, by the environment and the active profile of now."""
    # The first look finds where the profiles are; if they have moved, the second finds the active one.
    for _ in range(2):
        path = get_current_settings().profiles_path
        refresh_global_settings_context()
        if get_current_settings().profiles_path == path:
            break
    settings = get_current_settings()
    server, client = (
        each and each.get_secret_value() for each in (settings.server.api.auth_string, settings.api.auth_string)
    )
    return server or None, client or None


def _write(path: Path, string: str) -> None:
    """Write the string for both into the active profile; nobody but the owner reads it, at no moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    update_current_profile({SERVER: string, CLIENT: string})
