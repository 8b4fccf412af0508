"""Who may use the Prefect servers that are started here: whoever can read the project's string.

Prefect reads it itself, as server and as client, from the active profile in PREFECT_HOME; its page asks for it.
"""

import secrets
from pathlib import Path

from prefect.context import refresh_global_settings_context
from prefect.settings import get_current_settings, update_current_profile

from fashion.locks import hold
from fashion.paths import Project

USER = "fashion"


def require_authentication(project: Project) -> Path:
    """Make the string, unless there is one: for every server that starts from now on. Return the file it stands in."""
    with hold(project.state / "authentication.lock", on_wait=lambda _: None):
        refresh_global_settings_context()
        settings = get_current_settings()
        path = Path(settings.profiles_path)
        if settings.server.api.auth_string is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.chmod(0o600)
            string = f"{USER}:{secrets.token_urlsafe(24)}"
            update_current_profile({"PREFECT_SERVER_API_AUTH_STRING": string, "PREFECT_API_AUTH_STRING": string})
            refresh_global_settings_context()
        return path
