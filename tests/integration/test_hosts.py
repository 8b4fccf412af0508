"""A cluster of two hosts, network namespaces with processes of their own, of which one is killed in the middle."""

import os
import re
import subprocess
import sys

import pandas as pd
import pytest
from PIL import Image

from fashion.adapters.hosts import DASK, PORT, two_hosts
from fashion.errors import SetupError
from tests.litert_models import band_images
from tests.projects import SOURCE
from tests.servers import wait_until
from tests.services import CLASSES, SIZE, make_champion


@pytest.fixture
def hosts():
    try:
        with two_hosts() as found:
            yield found
    except SetupError as error:
        pytest.skip(f"there can be no hosts here: {error}")


@pytest.fixture
def begin(tmp_path):
    """Starts Dask's commands on a host; their output is kept."""
    processes = []

    def run(host, *command):
        with (tmp_path / "log").open("ab") as log:
            environment = os.environ | {"DASK_CONFIG": str(tmp_path)}
            words = host.command(*command, "--no-dashboard")
            processes.append(subprocess.Popen(words, env=environment, stdout=log, stderr=log))

    yield run
    for process in processes:
        process.kill()
        process.wait()


def test_what_a_killed_host_had_is_answered_by_the_other_and_one_that_sees_other_folders_is_refused(
    hosts, begin, tmp_path
):
    source, output = tmp_path / "shop", tmp_path / "answers"
    source.mkdir()
    for number, image in enumerate(band_images(200, SIZE, len(CLASSES))):
        Image.fromarray(image[..., 0]).save(source / f"{number:03d}.png")
    make_champion(tmp_path / "champion", "1")
    first, second = hosts
    address = f"tcp://{first.address}:{PORT}"
    worker = ("worker", address, "--nthreads", "1", "--no-nanny", "--local-directory", tmp_path / "workers")
    begin(first, DASK, "scheduler", "--host", first.address, "--port", str(PORT))

    hidden = f'mount -t tmpfs none {tmp_path} && exec "$@"'
    begin(second, "unshare", "--mount", "sh", "-c", hidden, "sh", DASK, *worker, "--host", second.address)
    await_workers(first, address, 1)
    refused = ask(first, address, tmp_path)
    said, _ = refused.communicate()
    assert refused.returncode == 1
    assert re.search(
        rf"ServiceError: The worker tcp://{second.address}:\d+ does not see {source} as this process", said
    )
    assert not output.exists()
    second.kill()

    for host in hosts:
        begin(host, DASK, *worker, "--host", host.address)
    await_workers(first, address, 2)
    asked = ask(first, address, tmp_path)
    wait_until(lambda: list(output.glob("*.parquet")), asked)
    second.kill()
    said, _ = asked.communicate()
    assert asked.returncode == 0, said
    rows = pd.read_parquet(output)
    assert list(rows["path"]) == [f"{number:03d}.png" for number in range(200)]
    assert rows["class"].notna().all()


def ask(host, address, folder):
    """Answer on a host, with the champion and the pictures in a folder."""
    program = (
        "from pathlib import Path\n"
        "from fashion.batch.answer import Wanted, answer_with\n"
        "from fashion.stages.workers import workers\n"
        "from tests.services import found_champion\n"
        f"folder = Path('{folder}')\n"
        "wanted = Wanted(folder / 'shop', folder / 'answers', 4)\n"
        "with workers([wanted.source], [wanted.output]) as wide:\n"
        "    found = found_champion(folder / 'champion', '1')\n"
        "    answer_with(found, 'bands', wanted, wide.executor, lambda *_: None)\n"
    )
    variables = os.environ | {"FASHION_EXECUTOR": address, "PYTHONPATH": str(SOURCE)}
    command = host.command(sys.executable, "-c", program)
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def await_workers(host, address, count):
    """Wait for them on the host, for here is no way to it."""
    program = (
        "import time\n"
        "from distributed import Client\n"
        f"with Client('{address}', timeout=600) as client:\n"
        f"    client.wait_for_workers({count}, timeout=600)\n"
        f"    while len(client.scheduler_info()['workers']) != {count}: time.sleep(0.1)\n"
    )
    subprocess.run(host.command(sys.executable, "-c", program), check=True)
