"""Images built with buildah on a base of Debian's packages, and their processes, each in a container's namespaces.

No engine is needed, and no registry of images. What an engine does with an image is done here with its settings:
process 1 in a process namespace, the root read-only, a folder of the host as volume, no capability, no way to gain one.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.projects import SOURCE

PACKAGES = "ca-certificates,coreutils,dash,diffutils,findutils,libstdc++6,python3-venv,sed,util-linux"
"""What the service's stages use of a base. Unpacked and not configured: that takes a third of debootstrap's time."""
ENTER = """set -e
root=$1 volume=$2; shift 2
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"
mount -t tmpfs shm "$root/dev/shm"
mount --bind "$volume" "$root/fashion/.state"
mount -t tmpfs tmp "$root/tmp"
mount -t proc proc "$root/proc"
mount -o remount,bind,ro "$root"
exec "$@"
"""


def instructions(target: str) -> dict[str, Any]:
    """The instructions of a target in the Dockerfile, the last of each kind, those in JSON read."""
    text = (SOURCE / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    stage = re.split(rf"^FROM .* AS {target}$", text, flags=re.MULTILINE)[1].partition("\nFROM ")[0]
    found = re.findall(r"^([A-Z]+)(?: --\S+)* (?:CMD )?(.+)$", stage, re.MULTILINE)
    return {kind: json.loads(words) if words.startswith("[") else words for kind, words in found}


@dataclass(frozen=True)
class Images:
    """A storage of images in a folder."""

    folder: Path

    def call(self, *words: str | Path) -> str:
        """Run a command of buildah; return what it prints."""
        where = ("--root", self.folder / "storage", "--runroot", self.folder / "run", "--storage-driver", "overlay")
        command = ["buildah", *map(str, where), *map(str, words)]
        variables = os.environ | {"TMPDIR": str(self.folder)}
        called = subprocess.run(command, cwd=SOURCE, env=variables, capture_output=True, text=True, check=False)
        if called.returncode:
            raise ChildProcessError(f"{' '.join(command)}: {called.stderr.strip()}")
        return called.stdout.strip()

    def build(self, target: str) -> "Image":
        """Build a target of the Dockerfile, with packages from where this machine gets them."""
        how = ("--isolation", "chroot", "--format", "docker", "--layers=false", "--build-arg", "BASE=localhost/base")
        self.call("bud", *how, *self._secrets(), "--target", target, "--tag", f"localhost/{target}", ".")
        config = json.loads(self.call("inspect", "--type", "image", f"localhost/{target}"))["Docker"]["config"]
        container = self.call("from", f"localhost/{target}")
        return Image(Path(self.call("mount", container)), config)

    def _secrets(self) -> Iterator[str]:
        """Where packages come from, by what setup.sh looks at; an unconfigured base has no certificates of its own."""
        index = first("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
        if index:
            (self.folder / "pip").write_text(f"[global]\nindex-url = {index}\n", encoding="utf-8")
            (self.folder / "uv").write_text(f'[[index]]\nurl = "{index}"\ndefault = true\n', encoding="utf-8")
            yield from ("--secret", f"id=pip,src={self.folder}/pip", "--secret", f"id=uv,src={self.folder}/uv")
        certificates = first("SSL_CERT_FILE", "PIP_CERT") or "/etc/ssl/certs/ca-certificates.crt"
        yield from ("--secret", f"id=certificates,src={certificates}")


def first(*names: str) -> str | None:
    return next((value for name in names if (value := os.environ.get(name))), None)


@dataclass(frozen=True)
class Image:
    """An image, unpacked at `root`, and what its Dockerfile says about running it."""

    root: Path
    config: Mapping[str, Any]

    @property
    def user(self) -> int:
        """The number of its user and its group."""
        user, _, group = self.config["User"].partition(":")
        assert user == group
        return int(user)

    @property
    def command(self) -> list[str]:
        return [*self.config["Entrypoint"], *self.config["Cmd"]]

    @property
    def check(self) -> list[str]:
        """The command of HEALTHCHECK."""
        kind, *command = self.config["Healthcheck"]["Test"]
        assert kind == "CMD"
        return list(command)

    def words(self, command: list[str], variables: Mapping[str, str]) -> list[str]:
        """The command as the image's user types it, in the image's root and folder."""
        number = str(self.user)
        given = [*self.config["Env"], *(f"{name}={value}" for name, value in variables.items())]
        rights = ("--no-new-privs", "--reuid", number, "--regid", number, "--clear-groups", "--bounding-set=-all")
        folder = ("env", "-i", "-C", self.config["WorkingDir"], *given)
        return ["chroot", str(self.root), "setpriv", *rights, *folder, *command]

    def enter(self, volume: Path, command: list[str], **variables: str) -> list[str]:
        """The command as process 1 of a container; `volume` is its /fashion/.state."""
        alone = ("unshare", "--mount", "--pid", "--fork", "sh", "-c", ENTER, "sh")
        return [*alone, str(self.root), str(volume), *self.words(command, variables)]


@dataclass(frozen=True)
class Container:
    """A container that runs; its process here is unshare, which waits for process 1."""

    image: Image
    process: subprocess.Popen[bytes]
    variables: Mapping[str, str]

    def is_well(self) -> bool:
        """Whether the command of HEALTHCHECK, run inside, says so; not before there is a process 1."""
        if not (first := self.processes()):
            return False
        inside = ["nsenter", "--target", str(first[0].pid), "--mount", "--pid"]
        command = [*inside, *self.image.words(self.image.check, self.variables)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def processes(self) -> list[psutil.Process]:
        """Process 1, while it runs: all others end with it."""
        return list(psutil.Process(self.process.pid).children()) if self.process.poll() is None else []


@contextmanager
def started(image: Image, volume: Path, log: Path, **variables: str) -> Iterator[Container]:
    """The image's own command."""
    with log.open("wb") as output:
        command = image.enter(volume, image.command, **variables)
        process = subprocess.Popen(command, stdout=output, stderr=output)
    container = Container(image, process, variables)
    try:
        yield container
    finally:
        for first_process in container.processes():
            first_process.kill()
        process.kill()
        process.wait()


@contextmanager
def images() -> Iterator[Images]:
    """A storage with the image `base`. The test is skipped where it cannot be made; the reason names the call."""
    store = Images(Path(tempfile.mkdtemp(prefix="fashion-images-")))
    try:
        try:
            make_base(store)
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", None) or ""
            pytest.skip(f"no image can be built here: {error} {said.strip()}")
        yield store
    finally:
        with suppress(ChildProcessError, OSError):
            store.call("umount", "--all")
        shutil.rmtree(store.folder)


def make_base(store: Images) -> None:
    subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], check=True, capture_output=True, text=True)
    container = store.call("from", "scratch")
    root = store.call("mount", container)
    how = ("--variant=extract", f"--include={PACKAGES}", "--dpkgopt=path-exclude=/usr/share/doc/*", "--quiet")
    subprocess.run(["mmdebstrap", *how, "bookworm", root], check=True, capture_output=True, text=True)
    store.call("commit", "--rm", container, "localhost/base")
