"""The environment of every process: the project's defaults, and variables that must not come from another project."""

import os
import sys
from pathlib import Path
from shlex import quote

from fashion.defaults import read_defaults
from fashion.errors import SetupError
from fashion.paths import Project
from fashion.settings import LOOPBACK, load_settings, tracking_uri

ACTIVATED = "_FASHION_SET"
"""What `source .venv/bin/activate` set, one line NAME=value per variable; the user set the others."""
ONE_ADDRESS = ("MLFLOW_REGISTRY_URI", "MLFLOW_REGISTRY_STORE_URI")
"""With these, MLflow would keep versions apart from the runs that they come from."""
ADDRESSES = ("MLFLOW_TRACKING_URI", "PREFECT_API_URL")
"""Variables whose default counts where they are empty, too."""
FIXED = {"KERAS_BACKEND": "tensorflow"}
"""What the code requires, whatever another project has set."""
FOREIGN = (
    *("GIT_COMMON_DIR", "GIT_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_WORK_TREE"),
    *("KERAS_HOME", "KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH", "TF_USE_LEGACY_KERAS"),
    *("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir", "WEB_CONCURRENCY"),
)
"""Variables that must not take effect here: another repository than the folder's (git sets it in its hooks), shorter
trainings and other defaults of Keras (its keras.json), and settings of multi-process servers."""


def apply_environment(project: Project) -> None:
    """Set every default that the user has not set. Called by entry points before a tool is imported.

    Raises:
        ParamsError: the environment or a variable belongs to another project, or an address is none.
    """
    check_environment(project)
    for line in os.environ.get(ACTIVATED, "").splitlines():
        name, _, value = line.partition("=")
        if os.environ.get(name) == value:
            del os.environ[name]
    for name in (ACTIVATED, *FOREIGN):
        os.environ.pop(name, None)
    os.environ.update(FIXED)
    for name, value in read_defaults(project.root).items():
        if name in ADDRESSES and not os.environ.get(name):
            os.environ[name] = value
        os.environ.setdefault(name, value)
    if address := load_settings().prefect_api_url:
        os.environ["PREFECT_API_URL"] = address
    check_registry_address(project)
    _keep_proxies_from_loopback()
    _share_certificates()


def _keep_proxies_from_loopback() -> None:
    """Exclude this machine from proxying: no proxy can reach the services that run here.

    requests, httpx, urllib and websockets, which Prefect and MLflow use, all read this list; if both spellings are set,
    the lower-case one takes precedence.
    """
    listed = ",".join(os.environ.get(name, "") for name in ("no_proxy", "NO_PROXY")).split(",")
    hosts = dict.fromkeys(host.strip() for host in listed if host.strip())
    if "*" not in hosts:
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(hosts | dict.fromkeys(LOOPBACK))


def _share_certificates() -> None:
    """Let httpx and urllib trust the certificates that requests and curl trust, such as those of a company's proxy."""
    found = next((value for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if (value := os.environ.get(name))), None)
    if found and Path(found).is_file():
        os.environ.setdefault("SSL_CERT_FILE", found)


def check_environment(project: Project) -> None:
    """Check that this process's virtual environment and code belong together and to `project`.

    Raises:
        SetupError: they do not.
    """
    home = Path(sys.prefix).parent.resolve()
    made_for, code = _made_for(home), Path(__file__).resolve().parents[2]
    if made_for is None:
        return  # Not made by setup.sh: whoever made it knows what it belongs to.
    if made_for != home:
        raise SetupError(
            f"The virtual environment {sys.prefix} was made for {made_for}, then copied or moved. Make a new one: "
            f"cd {quote(str(home))} && make setup"
        )
    if code not in (home, project.root):
        raise SetupError(
            f"The code that is running is that of {code}, in the environment of {home}. "
            f"Type: unset PYTHONPATH (it is {os.environ.get('PYTHONPATH', 'not set')})"
        )
    if project.root != home and _made_for(project.root):
        raise SetupError(
            f"The environment of {home} is active in {project.root}, which has its own. "
            f"Type: source {quote(f'{project.root}/.venv/bin/activate')}"
        )


def _made_for(home: Path) -> Path | None:
    """Return the folder that setup.sh recorded in the environment below `home`."""
    stamp = home / ".venv" / ".installed"
    first = stamp.read_text(encoding="utf-8").partition("\n")[0] if stamp.is_file() else ""
    return Path(first.removeprefix("folder ")) if first.startswith("folder ") else None


def check_registry_address(project: Project) -> None:
    """Check that versions and the runs that they come from are kept in the same place.

    Raises:
        SetupError: one of MLflow's variables says otherwise.
    """
    for name in ONE_ADDRESS:
        if os.environ.get(name, "") not in ("", load_settings().tracking_uri, tracking_uri(project)):
            raise SetupError(
                f"{name} differs from MLFLOW_TRACKING_URI, but runs and versions are kept in the same place here. "
                f"Type: unset {name}; or set MLFLOW_TRACKING_URI to the same address"
            )
