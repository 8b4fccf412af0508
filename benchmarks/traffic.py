"""The traffic of the demo: training images that are set aside before the first training."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from fashion.arrays import LabelledImages
from fashion.images.idx import write_idx, write_images
from fashion.params import load_params
from fashion.paths import Project
from fashion.stages.raw import read_raw
from fashion.storage import file_digest, write_json, write_text

WINDOW, SMALLEST_WINDOW, WINDOWS = 500, 100, 20
"""Images that are sent between two looks, and how often there are so many others."""


def set_aside(project: Project) -> int:
    """Take the traffic out of the training images, and let the project say that this is its data; return how many."""
    from fashion.adapters.versioning.pinning import pin

    params = load_params(project.params)
    train = read_raw(project, params.data)["train"]
    order = np.random.default_rng(0).permutation(len(train.labels))
    window = WINDOW if len(order) >= 2 * WINDOW * WINDOWS else SMALLEST_WINDOW
    windows = min(WINDOWS, len(order) // (2 * window))
    for number in range(windows):
        chosen = order[number * window : (number + 1) * window]
        images, labels = traffic(project, number)
        images.parent.mkdir(parents=True, exist_ok=True)
        images.write_bytes(write_images(train.images[chosen]))
        labels.write_bytes(write_idx(train.labels[chosen].astype(np.uint8)))
    rest = np.sort(order[windows * window :])
    content = yaml.safe_load(project.params.read_text(encoding="utf-8"))
    leave_in = keep_rows if params.data.shards else keep_images
    leave_in(project, content["data"], train, rest)
    content["collect"]["asked_share"] = 1.0
    write_text(project.params, yaml.safe_dump(content, sort_keys=False))
    suite = project.root / "expectations" / "train.json"
    expected = json.loads(suite.read_text(encoding="utf-8"))
    for expectation in expected["expectations"]:
        if expectation["type"] == "expect_table_row_count_to_equal":
            expectation["kwargs"]["value"] = len(rest)
    write_json(suite, expected)
    pin(project)
    return windows * window


def keep_images(project: Project, data: dict[str, Any], train: LabelledImages, rest: NDArray[np.int64]) -> None:
    """Leave these images alone in the IDX files for training."""
    left = {
        "train_images": write_images(train.images[rest]),
        "train_labels": write_idx(train.labels[rest].astype(np.uint8)),
    }
    for name, file in left.items():
        path = project.data / data[name]["name"]
        path.write_bytes(file)
        data[name]["sha256"] = file_digest(path)


def keep_rows(project: Project, data: dict[str, Any], train: LabelledImages, rest: NDArray[np.int64]) -> None:
    """Leave these images alone in the shards for training, in whose order they are counted."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kept, start = np.isin(np.arange(len(train.labels)), rest), 0
    for shard in data["shards"]:
        if shard["name"].startswith("test"):
            continue
        path = project.data / shard["name"]
        table = pq.read_table(path)
        pq.write_table(table.filter(pa.array(kept[start : start + len(table)])), path)
        start, shard["sha256"] = start + len(table), file_digest(path)


def count_windows(project: Project) -> int:
    return len(list(traffic(project, 0)[0].parent.glob("*-images.gz")))


def traffic(project: Project, number: int) -> tuple[Path, Path]:
    """Return the files with the images and the labels of a window."""
    folder = project.state / "traffic"
    return folder / f"{number}-images.gz", folder / f"{number}-labels.gz"
