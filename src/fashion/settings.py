"""Where things live: the environment (FASHION_* and two addresses). What changes results is in params.yaml."""

import difflib
import os
import re
import reprlib
import tomllib
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from fashion.errors import ParamsError
from fashion.paths import Project, find_project

SQLITE = "sqlite:///"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
DEFAULT_KEY = "default"
"""The name under which the prediction log records the key in FASHION_SERVE_KEY, or that no key was needed."""
SECRET_NAME = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|_KEY$|AUTH_STRING|FASHION_NOTIFY")
"""Matches the name of a variable whose value is secret."""
PASSWORD = re.compile(r"://[^\s/:@]*:([^\s@]+)@")
"""Matches the password in a URL."""
SHORTEST_SECRET = 8
"""Characters; anything shorter, or a word such as `secret`, occurs in ordinary text."""


def _check_key(key: SecretStr | None) -> SecretStr | None:
    if key and not re.fullmatch(r"[!-~]([ -~]*[!-~])?", key.get_secret_value()):
        raise ValueError("expected ASCII with no space at the ends, as every program and page can send it in a header")
    return key


def _to_address(place: str) -> str:
    """Return a place of artifacts as MLflow names it, without a slash at its end."""
    if urlsplit(place).scheme:
        return place.rstrip("/")
    if not place.startswith("/"):
        raise ValueError("expected s3://bucket/path, or an absolute folder that every machine reaches")
    return Path(place).as_uri()


def _check_api(address: str) -> str:
    """Return the address of Prefect's server without a slash at its end, which Prefect takes off, too."""
    parts = urlsplit(address)
    if not address:
        return address
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0 or "/api" not in parts.path:
        raise ValueError("expected http://host:port/api")
    return address.rstrip("/")


class Settings(BaseSettings):
    """Read from the environment by `load_settings`."""

    # Whoever empties a variable, as a line NAME= does, means the default: no address is empty.
    model_config = SettingsConfigDict(env_prefix="FASHION_", frozen=True, env_ignore_empty=True)

    home: Path | None = None
    """The project's folder; if unset, the nearest one at or above the working directory."""
    data_sources: str | None = None
    """Comma-separated replacements for `data.sources` in params.yaml: `dvc`, folders, URLs."""
    tracking_uri: str = Field(default=f"{SQLITE}.state/mlflow.db", validation_alias="MLFLOW_TRACKING_URI")
    """MLflow's tracking and registry address. A relative SQLite path is relative to the project's folder."""
    artifact_root: Annotated[str, AfterValidator(_to_address)] | None = Field(
        default=None, validation_alias="MLFLOW_DEFAULT_ARTIFACT_ROOT"
    )
    """Where files of runs and versions go if MLflow's address is a database server: s3://bucket/path, or an absolute
    folder. MLflow's server calls it by this name, too."""
    prefect_api_url: Annotated[str, AfterValidator(_check_api)] = Field(default="", validation_alias="PREFECT_API_URL")
    """Where Prefect's server answers: http://host:port/api."""
    prefect_api_auth_string: SecretStr | None = Field(default=None, validation_alias="PREFECT_API_AUTH_STRING")
    """The credentials for Prefect's server, user:password; those for the server of `make up` are found without it."""
    mlflow_port: Annotated[int, Field(ge=1, le=65535)] = 5000
    """The port on which `make up` serves MLflow, on loopback."""
    serve_port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """The port on which `fashion serve` listens."""
    serve_key: Annotated[SecretStr | None, AfterValidator(_check_key)] = None
    """The key for callers of `fashion serve` with all rights; `fashion key` makes keys with fewer. One is required when
    it listens beyond loopback."""
    serve_origin: Annotated[str, Field(pattern=r"^https?://[^/\s@]+$")] | None = None
    """The origin of the page of `fashion serve` as browsers see it behind a proxy: https://host, without a path."""
    notify: SecretStr | None = None
    """Where alarms, retrainings, promotions and failures are announced: a webhook's address, or a Prefect notification
    block by type and name, such as slack-webhook/team."""
    executor: Annotated[str, Field(pattern=r"^((tcp|tls)://\S+:\d{1,5})?$")] = ""
    """Who does what is wide: a cluster of Dask by its scheduler's address, tcp://host:8786; if unset, processes of this
    machine."""
    predictions_url: str = f"{SQLITE}.state/predictions.db"
    """The prediction log, SQLite or PostgreSQL. A relative SQLite path is relative to the project's folder."""
    studies_url: str | None = None
    """Where `fashion tune` keeps its studies: PostgreSQL; if unset, a file for each in .state/studies."""
    predictions_keep_days: Annotated[int, Field(ge=1, le=36_500)] = 90
    predictions_keep_rows: Annotated[int, Field(ge=1, le=10**12)] = 1_000_000
    """Older predictions, and any beyond this number, are removed with their labels; a 28 x 28 row takes about 2 kB."""
    predictions_keep_pictures: Annotated[int, Field(ge=0, le=10**12)] = 100_000
    """Of how many of the newest predictions the picture that was sent is kept, too; 0 keeps none, and removes those
    that are there. Photographs take about 35 kB each, 3.5 GB in all; at worst it is 100 kB each, 10 GB in all."""


def load_settings() -> Settings:
    """Load the settings of this process.

    Raises:
        ParamsError: a FASHION_* variable is unknown or has an impossible value.
    """
    known = [f"FASHION_{name.upper()}" for name, field in Settings.model_fields.items() if not field.validation_alias]
    for name in os.environ:
        if name.startswith("FASHION_") and name not in known:
            close = difflib.get_close_matches(name, known, n=1) or known
            raise ParamsError(f"Unknown environment variable {name}; did you mean {' or '.join(close)}?")
    try:
        return Settings()
    except ValidationError as error:
        lines = [f"  {_explain(details)}" for details in error.errors()]
        raise ParamsError("\n".join(["The environment cannot be used:", *lines])) from error


def _explain(details: ErrorDetails) -> str:
    """Name the variable, say what is wrong, and what was found unless it is secret."""
    name = str(details["loc"][0])
    variable = name if name.isupper() else f"FASHION_{name.upper()}"
    secret = {name for name, field in Settings.model_fields.items() if SecretStr in get_args(field.annotation)}
    found = "" if name in secret else f" (found {reprlib.repr(details['input'])})"
    return f"{variable}: {details['msg']}{found}"


def secret_values() -> list[str]:
    """Return the passwords, keys and tokens given to this process that are long enough to search for."""
    named = [value for name, value in os.environ.items() if SECRET_NAME.search(name)]
    inside = [password for value in os.environ.values() for password in PASSWORD.findall(value)]
    return sorted({value for value in (*named, *inside) if len(value) >= SHORTEST_SECRET})


def load_project() -> Project:
    """Return the project at FASHION_HOME, or else the one of the working directory."""
    return find_project(load_settings().home or Path.cwd())


def tracking_uri(project: Project) -> str:
    """Return MLflow's address, a relative SQLite path made absolute, PostgreSQL with the driver that is installed."""
    return _below(project, re.sub("^postgres(ql)?://", "postgresql+psycopg://", load_settings().tracking_uri))


def is_shared(url: str) -> bool:
    """Return whether what stands at a database's or a server's address may be used by other clones of the project."""
    return not url.startswith(SQLITE)


def is_missing(url: str) -> bool:
    """Return whether a database's address names an SQLite file that does not exist yet."""
    return url.startswith(SQLITE) and not Path(url.removeprefix(SQLITE)).exists()


def predictions_url(project: Project) -> str:
    """Return the prediction log's address, with a relative SQLite path made absolute."""
    return _below(project, load_settings().predictions_url)


def headers_for_prefect() -> dict[str, str]:
    """Return the headers that authenticate clients of Prefect's server; none if no authentication string is known."""
    named = load_settings().prefect_api_auth_string
    string = named.get_secret_value() if named else _prefect_profile().get("PREFECT_API_AUTH_STRING")
    return {"Authorization": f"Basic {b64encode(string.encode()).decode()}"} if string else {}


def _prefect_profile() -> Mapping[str, str]:
    """Read Prefect's active profile, where whoever starts a server keeps the string."""
    path = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser() / "profiles.toml"
    path = Path(os.environ.get("PREFECT_PROFILES_PATH") or path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    name = os.environ.get("PREFECT_PROFILE") or content.get("active", "")
    profile: Mapping[str, str] = content.get("profiles", {}).get(name, {})
    return profile


def _below(project: Project, uri: str) -> str:
    path = uri.removeprefix(SQLITE)
    if uri.startswith(SQLITE) and not path.startswith("/"):
        return f"{SQLITE}{project.root / path}"
    return uri
