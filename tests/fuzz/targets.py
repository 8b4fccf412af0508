"""What is fuzzed: one function a reader, bytes in, and the bytes that a good file of its kind has.

Every function returns, or raises a FashionError; it checks what was returned. Heavy modules are imported by `prepare`,
before memory is measured.
"""

import gzip
import importlib
import io
import json
import struct
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
SIZE = (28, 28)
SOURCES = (".zip", ".parquet", "")
"""How the names of files end that hold many pictures."""


@dataclass(frozen=True)
class Target:
    """A reader: `read(content, folder)` hands it the bytes, in a file of the empty `folder` where it wants one."""

    modules: tuple[str, ...]
    read: Callable[[bytes, Path], None]
    seeds: Callable[[], Sequence[bytes]]
    tokens: tuple[bytes, ...] = ()
    """Pieces that the format gives a meaning to."""
    trees: Callable[[], Sequence[Any]] = tuple
    """Good contents of formats that are trees, of which JSON is one spelling."""

    def prepare(self) -> None:
        for module in self.modules:
            importlib.import_module(module)


def read_idx(content: bytes, folder: Path) -> None:
    """The first byte says how many dimensions are expected and whether the file is compressed."""
    from fashion.images import idx

    dimensions = 1 + content[0] % 4 if content else 1
    reader = idx.read_plain_idx if content and content[0] & 4 else idx.read_idx
    array = reader(io.BytesIO(content[1:]), "fuzz", dimensions)
    assert array.dtype == np.uint8
    assert array.ndim == dimensions


def read_shard(content: bytes, folder: Path) -> None:
    """What a shard says about its pictures, and the pictures."""
    from fashion.adapters.shards import read_pictures, read_rows
    from fashion.images.photos import Form
    from fashion.params import PicturesParams
    from fashion.stages.pictures import see_stored

    path = folder / "shard"
    path.write_bytes(content)
    rows = read_rows(path, "shard")
    parts = read_pictures(path, "shard", np.ones(len(rows.labels), np.bool_))
    form = Form(SIZE, PicturesParams(channels=3, isolate=False, fit="pad", ground=0))
    assert sum(map(len, see_stored(parts, form))) == len(rows.labels) == len(rows.groups) == len(rows.splits)


def read_photograph(content: bytes, folder: Path) -> None:
    """`read_samples` puts what it refuses into its answer; a warning would be shown to the user.

    What an object was cut out of is also brought to the frame as a whole, in colour.
    """
    from fashion.images.photos import Form, see
    from fashion.params import PicturesParams
    from fashion.registry.predict import read_samples

    form = Form(SIZE, PicturesParams())
    whole = Form(SIZE, PicturesParams(channels=3, isolate=False, fit="pad", ground=0))

    path = folder / "picture"
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        samples, refused = read_samples([path], form)
        pairs = [(sample.seen, see(sample.given, whole)) for sample in samples]
    assert samples or refused
    for kind, seen in zip((form, whole), zip(*pairs, strict=True), strict=False):
        assert all(one.image.shape == kind.shape and one.image.dtype == np.uint8 for one in seen)
    assert all(message.message.isprintable() for message in refused)
    _raise_first(refused)


def read_source(content: bytes, folder: Path) -> None:
    """The first byte says whether `fashion predict --output` is given an archive, a shard or an IDX file.

    Of its stretches the first three are answered: a file of many small images has any number.
    """
    from fashion.batch.idx import unpack
    from fashion.batch.seeing import see_stretch
    from fashion.batch.sources import Search
    from fashion.batch.stretches import Images
    from fashion.images.photos import Form, Seen
    from fashion.params import PicturesParams

    path, unpacked = folder / f"source{SOURCES[content[0] % 3 if content else 0]}", folder / "unpacked"
    path.write_bytes(content[1:])
    form = Form(SIZE, PicturesParams())
    seen: list[Seen | str] = []
    for stretch in islice(Search(path, at_once=2).stretches(), 3):
        compressed = isinstance(stretch, Images) and stretch.compressed
        if compressed and not unpacked.exists():
            unpack(path, path.name, unpacked)
        found = [one for _, one in see_stretch(path, stretch, unpacked if compressed else None, form)]
        assert len(found) == len(stretch)
        seen += found
    assert all(one.image.shape == form.shape for one in seen if isinstance(one, Seen))
    refused = [one for one in seen if isinstance(one, str)]
    assert all(reason.isprintable() for reason in refused)
    _raise_first(refused)


def read_params(content: bytes, folder: Path) -> None:
    from fashion.params import Params, load_params

    path = folder / "params.yaml"
    path.write_bytes(content)
    assert isinstance(load_params(path), Params)


def read_suite(content: bytes, folder: Path) -> None:
    from fashion.adapters.quality import load_suite

    path = folder / "images.json"
    path.write_bytes(content)
    assert load_suite(path).expectations


def check_suite(content: bytes, folder: Path) -> None:
    """The suite is held against a table of two rows, and the pages about it are written."""
    import pandas as pd

    from fashion.adapters.quality import check
    from fashion.stages.validation_pages import write_docs

    path = folder / "images.json"
    path.write_bytes(content)
    table = pd.DataFrame(_DESCRIPTORS, index=[3, 4])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_docs(folder / "docs", "Two images.", check({path: table}), fit=True)


def read_artifact(content: bytes, folder: Path) -> None:
    """The first byte says which of the files that a stage has written this one is."""
    from fashion.paths import Project
    from fashion.reading import read_json
    from fashion.stages.dataset import load_split, read_history

    project = Project(folder)
    kind, content = content[:1] or b"\0", content[1:]
    if kind[0] % 3 == 0:
        (folder / "report.json").write_bytes(content)
        read_json(folder / "report.json", "dvc repro validate")
    elif kind[0] % 3 == 1:
        project.model.mkdir(parents=True)
        (project.model / "history.csv").write_bytes(content)
        read_history(project)
    else:
        project.dataset.mkdir(parents=True)
        (project.dataset / "test_images.npy").write_bytes(content)
        np.save(project.dataset / "test_labels.npy", np.zeros(2, np.uint8))
        split = load_split(project, "test")
        assert split.images.dtype == np.uint8
        assert split.images.ndim == 4


def _raise_first(refused: Sequence[object]) -> None:
    """So that a refusal counts as one, as in the other readers."""
    from fashion.errors import DataError

    if refused:
        raise DataError(str(refused[0]))


def _idx_seeds() -> list[bytes]:
    images = struct.pack(">HBB3I", 0, 8, 3, 2, 3, 4) + bytes(range(24))
    labels = struct.pack(">HBB1I", 0, 8, 1, 5) + bytes(range(5))
    billion = struct.pack(">HBB3I", 0, 8, 3, 10**9, 28, 28)
    nothing = struct.pack(">HBB3I", 0, 8, 3, 0, 2**32 - 1, 2**32 - 1)
    packed = [gzip.compress(content, mtime=0) for content in (images, labels, billion, nothing)]
    zeros = gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 2**15, 2**14, 1) + bytes(1 << 20), mtime=0)
    return [
        b"\6" + images,
        b"\4" + labels,
        b"\6" + billion,
        b"\6" + nothing,
        b"\2" + packed[0],
        b"\0" + packed[1],
        b"\2" + packed[2],
        b"\2" + packed[3],
        b"\2" + packed[0] + b"garbage",
        b"\2" + packed[0] + packed[1],
        b"\2" + zeros,
    ]


def _shard_seeds() -> list[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from fashion.adapters.shards import Row, write_shard
    from fashion.images.encoding import encode_png

    picture = encode_png(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "shard")
        write_shard(path, [Row(picture, 0, "a.png", "one", "train"), Row(picture, 1)], ("a", "b"))
        seeds = [path.read_bytes()]
        table = pa.table({"image": [{"bytes": picture, "path": None}, {"bytes": None, "path": "b"}], "label": [0, 1]})
        for options in ({"compression": "zstd"}, {"compression": "none", "use_dictionary": False}, {"version": "1.0"}):
            pq.write_table(table, path, **options)
            seeds.append(path.read_bytes())
    return seeds


def _source_seeds() -> list[bytes]:
    pictures = {f"{number} ü.png": picture for number, picture in enumerate(_photograph_seeds()[:6])}
    archives = []
    for how in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", how) as archive:
            for name, picture in {**pictures, "../up.png": b"", "notes.txt": b"", "__MACOSX/._a.png": b""}.items():
                archive.writestr(name, picture)
        archives.append(b"\0" + stream.getvalue())
    images = struct.pack(">HBB3I", 0, 8, 3, 5, 30, 20) + bytes(range(250)) * 12
    large = struct.pack(">HBB3I", 0, 8, 3, 1, 9_000, 9_000) + bytes(9_000 * 9_000)
    plain = [images, struct.pack(">HBB4I", 0, 8, 4, 2, 28, 28, 3) + bytes(range(196)) * 24]
    packed = [gzip.compress(one, mtime=0) for one in (*plain, large)]
    return [*archives, *(b"\1" + shard for shard in _shard_seeds()), *(b"\2" + one for one in (*plain, *packed))]


def _photograph_seeds() -> list[bytes]:
    from PIL import Image

    pixels = np.zeros((40, 30), np.uint8)
    pixels[5:30, 8:20] = np.arange(12) * 20
    grey = Image.fromarray(pixels)
    colour = grey.convert("RGB")
    turned = Image.Exif()
    turned[0x0112] = 6
    return [
        _encode(grey, "PNG", icc_profile=b"garbage"),
        _encode(grey.convert("LA"), "PNG", exif=turned),
        _encode(Image.fromarray(pixels.astype(np.uint16) * 257), "PNG"),
        _encode(colour.quantize(8), "PNG", transparency=0),
        _encode(colour, "JPEG", exif=turned),
        _encode(colour, "JPEG", progressive=True, quality=30),
        _encode(colour.convert("CMYK"), "JPEG"),
        _encode(colour, "WEBP", exif=turned),
        _encode(colour, "WEBP", save_all=True, append_images=[colour.rotate(90)], lossless=True),
        _encode(colour, "GIF", save_all=True, append_images=[colour.rotate(90)], transparency=0),
        _encode(grey, "BMP"),
        _encode(grey.convert("1"), "BMP"),
        _encode(colour.convert("RGBA"), "BMP"),
        _encode(Image.new("L", (60_000, 1)), "PNG"),
        _encode(Image.new("L", (60_000, 1)), "PNG").replace(b"\0\0\0\x51IDAT", b"\xff\0\0\x51IDAT"),
        _encode(Image.new("L", (1, 60_000)), "PNG"),
        struct.pack(">HBB3I", 0, 8, 3, 2, 30, 20) + pixels[:30, :20].tobytes() * 2,
        gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 1, *SIZE) + pixels[:28, :28].tobytes(), mtime=0),
    ]


def _encode(image: Any, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _params_seeds() -> list[bytes]:
    shipped = (ROOT / "params.yaml").read_bytes()
    laughs = b"a: &a [x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (n, n, b",".join([b"*%c" % (n - 1)] * 9)) for n in b"bcdefghi"
    )
    merges = b"a: &a {k: v}\n" + b"".join(
        b"%c: &%c {<<: [%s]}\n" % (n, n, b",".join([b"*%c" % (n - 1)] * 9)) for n in b"bcdefghi"
    )
    values = [
        b".inf",
        b".nan",
        b"1e999",
        b"0x" + b"f" * 5000,
        b"9" * 900,
        b"!!timestamp x",
        b"!!bool x",
        b"!!int x",
        b"!!python/object/apply:os.system [id]",
        b'"\\UFFFFFFFF"',
        b'"\\ud800"',
        b"2001-99-99",
        b"~",
        b"[" * 900,
    ]
    changed = [shipped.replace(b"learning_rate: 0.008", b"learning_rate: " + value) for value in values]
    return [
        shipped,
        laughs,
        merges,
        *changed,
        b"%s: 1\n" % (b"k" * 900),
        b"\n".join(b"k%d: 1" % n for n in range(300)),
    ]


def _suite_seeds() -> list[bytes]:
    shipped = [path.read_bytes() for path in sorted((ROOT / "expectations").glob("*.json"))]
    entry = {"type": "expect_column_values_to_be_in_set", "meta": {"on_breach": "quarantine", "reason": "a"}}
    kwargs = [
        {"column": "label", "value_set": [0, 1]},
        {"column": "nowhere", "value_set": "abc"},
        {"column": "label", "value_set": [1e308, None, {"a": [1]}]},
        {"column": "label", "value_set": [0], "mostly": 7},
        {
            "column": "label",
            "value_set": [0],
            "row_condition": "@pd.io.common.os.system('id')",
            "condition_parser": "pandas",
        },
        {"column": {"$PARAMETER": "x"}, "value_set": {"$PARAMETER": "y"}},
        {"unknown": 1},
    ]
    pattern = {
        **entry,
        "type": "expect_column_values_to_match_regex",
        "kwargs": {"column": "split", "regex": "(.+)+x$"},
    }
    made = [json.dumps({"name": "a", "expectations": [{**entry, "kwargs": one}]}).encode() for one in kwargs]
    return [*shipped, *made, json.dumps({"name": "a", "expectations": [pattern]}).encode(), b"[" * 100_000, b"9" * 5000]


def _artifact_seeds() -> list[bytes]:
    report = b'\0{"verdict": "passed", "checks": [{"name": "a", "value": 1.5, "limit": 2, "needed": null}]}'
    history = b"\1epoch,loss,accuracy\n1,0.5,0.9\n2,0.4,0.95\n"
    images = [_array(np.zeros((2, 3, 4), kind)) for kind in (np.uint8, np.float32, np.object_)]
    colour = _array(np.zeros((2, 3, 4, 3), np.uint8))
    huge = images[0].replace(b"(2, 3, 4)", b"(2, 9999999999, 4)")
    return [report, history, *(b"\2" + image for image in (*images, colour, huge)), b"\2PK\3\4", b"\0" + b"[" * 100_000]


def _array(array: NDArray[np.generic]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _params_trees() -> list[Any]:
    import yaml

    return [yaml.safe_load((ROOT / "params.yaml").read_text())]


def _suite_trees() -> list[Any]:
    """Suites of one expectation each, as many damages of one are seen as there are expectations."""
    shipped = [json.loads(path.read_text()) for path in sorted((ROOT / "expectations").glob("*.json"))]
    return [{"name": "one", "expectations": [entry]} for suite in shipped for entry in suite["expectations"]]


_DESCRIPTORS = {
    "split": ["train", "test"],
    "index": [0, 0],
    "label": [1, 2],
    "mean": [70.0, 80.0],
    "standard_deviation": [30.0, 40.0],
    "minimum": [0, 0],
    "maximum": [255, 250],
    "ink_fraction": [0.4, 0.5],
    "height": [28, 28],
    "width": [28, 28],
    "hash": ["ab", "cd"],
}
_SUITE_TOKENS = (
    b'"expect_column_values_to_be_between"',
    b'"expect_column_kl_divergence_to_be_less_than"',
    b'"column"',
    b'"value_set"',
    b'"mostly"',
    b'"partition_object"',
    b'"min_value"',
    b'"on_breach"',
    b'"fail"',
    b"null",
    b"true",
    b"[]",
    b"{}",
    b"-1",
    b"1e400",
    b"NaN",
    b'"\\ud800"',
    b'"label"',
    b'"2020-01-01"',
)
_YAML_TOKENS = (
    b"&a ",
    b"*a",
    b"<<: ",
    b"!!int ",
    b"!!float ",
    b"!!binary ",
    b"!!set ",
    b"!!timestamp ",
    b"? ",
    b": ",
    b"- ",
    b"{",
    b"[",
    b"|\n",
    b"~",
    b".inf",
    b".nan",
    b"-1",
    b"1e5",
    b"0x1f",
    b"1:30",
    b"2001-01-01",
    b"\x00",
    b"\xff",
    b"%YAML 9.9\n",
    b"---\n",
    b"train:\n",
    b"epochs: ",
)
_ARCHIVE_TOKENS = (b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"\0\0\x08\3", b"\0\0\x08\4", b"PAR1")
_BINARY_TOKENS = (
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\0\1",
    b"\x1f\x8b\x08",
    b"IDAT",
    b"\xff\xda",
)

TARGETS = {
    "idx": Target(("fashion.images.idx",), read_idx, _idx_seeds, _BINARY_TOKENS),
    "shards": Target(("fashion.stages.pictures",), read_shard, _shard_seeds, _BINARY_TOKENS),
    "photographs": Target(("fashion.registry.predict",), read_photograph, _photograph_seeds, _BINARY_TOKENS),
    "sources": Target(
        ("fashion.batch.sources", "fashion.batch.seeing"), read_source, _source_seeds, _ARCHIVE_TOKENS + _BINARY_TOKENS
    ),
    "params": Target(("fashion.params",), read_params, _params_seeds, _YAML_TOKENS, _params_trees),
    "suites": Target(("fashion.adapters.quality",), read_suite, _suite_seeds, _SUITE_TOKENS, _suite_trees),
    "checks": Target(("fashion.adapters.quality",), check_suite, _suite_seeds, _SUITE_TOKENS, _suite_trees),
    "artifacts": Target(
        ("fashion.stages.dataset",),
        read_artifact,
        _artifact_seeds,
        _SUITE_TOKENS + _BINARY_TOKENS,
    ),
}
