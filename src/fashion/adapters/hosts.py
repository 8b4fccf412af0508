"""iproute2: two hosts on one machine, to see what crosses a network. They are network namespaces; it takes root."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fashion.errors import SetupError

DASK = Path(sys.executable).parent / "dask"
PORT = 8786
"""On which a scheduler listens: a host has ports of its own."""


@dataclass(frozen=True)
class Host:
    """A host with network and processes of its own; it shares the file system."""

    name: str
    address: str

    def command(self, *words: str | Path) -> list[str]:
        """Return a command as it is typed here, so that it runs there."""
        return ["ip", "netns", "exec", self.name, *map(str, words)]

    def kill(self) -> None:
        """Kill every process of the host."""
        for process in _call("ip", "netns", "pids", self.name).split():
            with suppress(ProcessLookupError):
                os.kill(int(process), signal.SIGKILL)


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Yield two hosts that see each other and nothing else; their processes end with the block.

    Raises:
        SetupError: this user may not make them, or iproute2 is not installed; the message names the call that failed.
    """
    first, second = (Host(f"fashion-{os.getpid()}-{end}", f"10.231.0.{end}") for end in (1, 2))
    with ExitStack() as stack:
        for host in (first, second):
            _call("ip", "netns", "add", host.name)
            stack.callback(_call, "ip", "netns", "delete", host.name)
            stack.callback(host.kill)
        cable = ("type", "veth", "peer", "name", "eth0", "netns", second.name)
        _call("ip", "link", "add", "eth0", "netns", first.name, *cable)
        for host in (first, second):
            _call("ip", "-n", host.name, "address", "add", f"{host.address}/30", "dev", "eth0")
            for device in ("lo", "eth0"):
                _call("ip", "-n", host.name, "link", "set", device, "up")
        yield first, second


def scheduler_on(host: Host) -> list[str]:
    return host.command(DASK, "scheduler", "--host", host.address, "--port", str(PORT), "--no-dashboard")


def worker_on(host: Host, scheduler: Host, folder: Path) -> list[str]:
    """Return the command of a worker with one thread, whose nanny starts it again."""
    options = ("--nthreads", "1", "--host", host.address, "--local-directory", folder / host.name, "--no-dashboard")
    return host.command(DASK, "worker", f"tcp://{scheduler.address}:{PORT}", *options)


def _call(*command: str) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError as error:
        raise SetupError(f"{' '.join(command)}: {command[0]} is not installed (Debian: iproute2)") from error
    except subprocess.CalledProcessError as error:
        raise SetupError(f"{' '.join(command)}: {error.stderr.strip()}") from error
