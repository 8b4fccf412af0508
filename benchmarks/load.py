"""Clients in a closed loop: each sends its next request when the answer to the last one is there.

python -m benchmarks.load 127.0.0.1:8000 fashion images.npy --clients 8 --seconds 10

Prints one line of JSON, when the time is over or after SIGTERM. A process of its own, so that the service's time is not
its time.
"""

import argparse
import asyncio
import json
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.raw_http import read_answer, request, to_json

PATHS = {"fashion": ("/predict", "images"), "mlflow": ("/invocations", "instances")}
DIFFERENT = 200
"""Requests that take turns."""


@dataclass
class Load:
    """What is sent, until when, and how long each answer took."""

    host: str
    port: int
    requests: list[bytes]
    deadline: float
    most: float
    milliseconds: list[float] = field(default_factory=list)
    failed: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("kind", choices=PATHS)
    parser.add_argument("images", type=Path)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--requests", type=float, default=float("inf"), help="Stop after so many, if that comes first.")
    arguments = parser.parse_args()
    host, port = arguments.address.split(":")
    images = np.load(arguments.images, mmap_mode="r")[:DIFFERENT]
    requests = [make_request(arguments.kind, image[..., 0].tolist()) for image in images]
    deadline = time.perf_counter() + arguments.seconds
    load = Load(host, int(port), requests, deadline, arguments.requests)
    start = time.perf_counter()
    asyncio.run(send(load, arguments.clients))
    print(json.dumps(summary(load, time.perf_counter() - start)))


def make_request(kind: str, image: list[list[int]]) -> bytes:
    path, field_name = PATHS[kind]
    return request("POST", path, "application/json", to_json({field_name: [image]}), connection="keep-alive")


async def send(load: Load, clients: int) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, setattr, load, "deadline", 0)
    await asyncio.gather(*(client(load, number) for number in range(clients)))


async def client(load: Load, number: int) -> None:
    reader, writer = await asyncio.open_connection(load.host, load.port)
    while time.perf_counter() < load.deadline and len(load.milliseconds) < load.most:
        start = time.perf_counter()
        writer.write(load.requests[number % len(load.requests)])
        try:
            status, _ = await read_answer(reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            status = 0
            reader, writer = await asyncio.open_connection(load.host, load.port)
        load.milliseconds.append(1000 * (time.perf_counter() - start))
        load.failed += status != 200
        number += 1
    writer.close()


def summary(load: Load, seconds: float) -> dict[str, float]:
    times = np.array(load.milliseconds)
    return {
        "requests": len(times),
        "failed": load.failed,
        "requests_per_second": len(times) / seconds,
        "p50_milliseconds": float(np.median(times)),
        "p99_milliseconds": float(np.quantile(times, 0.99)),
    }


if __name__ == "__main__":
    main()
