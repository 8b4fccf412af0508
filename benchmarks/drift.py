"""How often the alarm errs and what it sees; writes benchmarks/drift.json and .md and docs/drift.svg.

    python -m benchmarks.drift               # a few minutes on two cores; needs: dvc repro

The detector is built from the validation images and calibrated on them, with the numbers of params.yaml. The windows
are drawn from the test images, which have no part in that: 500 clean ones of each size, and 500 of each corruption,
severity and size. The model is the exported one, as it answers in service.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import binomtest

from fashion.adapters import litert
from fashion.evaluation.alarm import Verdict, decide
from fashion.evaluation.drift import Detector, Sample, build_detector, descriptor_values, measure
from fashion.evaluation.limits import WEIGHTS, Limit, calibrate, score
from fashion.images.corruptions import (
    CORRUPTIONS,
    MIX_CHANGES,
    SEVERITIES,
    add_label_noise,
    change_mix,
    corrupt,
)
from fashion.images.descriptors import describe
from fashion.params import Params, load_params
from fashion.paths import Project
from fashion.stages.dataset import load_split
from fashion.storage import atomic_file, write_json, write_text

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).with_suffix(".json")
TABLE = Path(__file__).with_suffix(".md")
PICTURE = ROOT / "docs" / "drift.svg"
SIZES = (100, 300, 1_000)
AIM_SIZE, AIM_SEVERITY, AIM = 300, 3, 0.95
LABEL_NOISE_NAME = "label noise"
Windows = NDArray[np.integer]


@dataclass(frozen=True)
class Clean:
    """Of clean windows of one size."""

    size: int
    labelled: bool
    windows: int
    drifted: int
    low: float
    high: float
    """Exact 95 % interval of the rate, Clopper and Pearson's."""
    alarms: int
    by_statistic: Mapping[str, int]


@dataclass(frozen=True)
class Detection:
    """Share of the windows of one corruption, severity and size that count as drifted."""

    corruption: str
    severity: int
    size: int
    rate: float
    by_statistic: Mapping[str, float]


@dataclass(frozen=True)
class Bench:
    """What every measurement needs: limits by window size, without labels and with."""

    project: Project
    params: Params
    detector: Detector
    limits: Mapping[tuple[int, bool], Mapping[str, Limit]]
    windows: int

    def scores(self, sample: Sample, windows: Windows, labelled: bool = False) -> dict[str, NDArray[np.floating]]:
        return score(self.limits[windows.shape[1], labelled], measure(self.detector, sample), windows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=500, help="a figure")
    bench = prepare(Project(ROOT), parser.parse_args().windows)
    random = np.random.default_rng(0)
    split = load_split(bench.project, "test")
    test = see(bench.project, np.array(split.images), split.labels)
    clean = list(measure_clean(bench, test, random))
    detections = [
        *measure_corruptions(bench, np.array(split.images), split.labels, random),
        *measure_mixes(bench, test, random),
        *measure_label_noise(bench, test, random),
    ]
    rule = bench.params.monitor.alarm.model_dump()
    write_json(
        RESULTS,
        {
            "rule": rule,
            "weights": dict(WEIGHTS),
            "clean": [asdict(one) for one in clean],
            "detections": [asdict(one) for one in detections],
        },
    )
    write_text(TABLE, render(bench, clean, detections))
    draw(detections, PICTURE)
    print(TABLE.read_text(encoding="utf-8"))


def prepare(project: Project, windows: int) -> Bench:
    """The detector of the exported model, calibrated for every size."""
    params = load_params(project.params)
    validation = load_split(project, "validation")
    reference = see(project, np.array(validation.images), validation.labels)
    detector = build_detector(reference, params.monitor.overconfidence_tolerated)
    rate = params.monitor.alarm.false_alarm_rate
    limits = {
        (size, labelled): calibrate(detector, size, size if labelled else 0, rate)
        for size in SIZES
        for labelled in (False, True)
    }
    return Bench(project, params, detector, limits, windows)


def see(project: Project, images: NDArray[np.uint8], labels: NDArray[np.integer]) -> Sample:
    """What is logged of images (n, height, width)."""
    outputs = litert.predict(project.export / "model.tflite", images)
    descriptors = descriptor_values(describe(images))
    return Sample(descriptors, outputs.embedding, outputs.probabilities, labels.astype(np.int64))


def measure_clean(bench: Bench, test: Sample, random: np.random.Generator) -> Iterator[Clean]:
    """As many windows as of anything else, and ten times as many others for a narrower interval."""
    others = np.random.default_rng(1)
    for number, source in ((bench.windows, random), (10 * bench.windows, others)):
        for size in SIZES:
            windows = source.integers(0, len(test), (number, size))
            for labelled in (False, True):
                yield clean_figures(bench, bench.scores(test, windows, labelled), size, labelled)


def clean_figures(bench: Bench, scores: Mapping[str, NDArray[np.floating]], size: int, labelled: bool) -> Clean:
    drifted = is_drifted(scores)
    interval = binomtest(int(drifted.sum()), len(drifted)).proportion_ci(0.95, method="exact")
    return Clean(
        size,
        labelled,
        len(drifted),
        int(drifted.sum()),
        float(interval.low),
        float(interval.high),
        count_alarms(scores, bench.params),
        {name: int((values > 1).sum()) for name, values in scores.items()},
    )


def count_alarms(scores: Mapping[str, NDArray[np.floating]], params: Params) -> int:
    """If the windows came one after the other."""
    verdicts: list[Verdict] = []
    for row in zip(*scores.values(), strict=True):
        verdicts.append(decide(verdicts, dict(zip(scores, row, strict=True)), params.monitor.alarm).verdict)
    return verdicts.count(Verdict.ALARM)


def is_drifted(scores: Mapping[str, NDArray[np.floating]]) -> NDArray[np.bool_]:
    drifted: NDArray[np.bool_] = np.any([values > 1 for values in scores.values()], axis=0)
    return drifted


def measure_corruptions(
    bench: Bench, images: NDArray[np.uint8], labels: NDArray[np.integer], random: np.random.Generator
) -> Iterator[Detection]:
    for name in CORRUPTIONS:
        for severity in SEVERITIES:
            sample = see(bench.project, corrupt(name, severity, images, random), labels)
            for size in SIZES:
                windows = random.integers(0, len(sample), (bench.windows, size))
                yield detection(name, severity, bench.scores(sample, windows), size)


def measure_mixes(bench: Bench, test: Sample, random: np.random.Generator) -> Iterator[Detection]:
    classes = test.probabilities.shape[1]
    shares = np.bincount(test.labels, minlength=classes) / len(test)
    for name in MIX_CHANGES:
        for severity in SEVERITIES:
            for size in SIZES:
                mixes = [change_mix(name, severity, shares, random) for _ in range(bench.windows)]
                windows = np.stack([draw_mix(test.labels, mix, size, random) for mix in mixes])
                yield detection(name, severity, bench.scores(test, windows), size)


def draw_mix(labels: Windows, shares: NDArray[np.floating], size: int, random: np.random.Generator) -> Windows:
    """Rows of images, (size,), whose classes come as often as the shares say."""
    weights = (shares / np.bincount(labels, minlength=len(shares)))[labels]
    return random.choice(len(labels), size, p=weights / weights.sum())


def measure_label_noise(bench: Bench, test: Sample, random: np.random.Generator) -> Iterator[Detection]:
    """Every image labelled; the images are clean."""
    classes = test.probabilities.shape[1]
    for severity in SEVERITIES:
        noisy = add_label_noise(test.labels, severity, classes, random)
        sample = Sample(test.descriptors, test.embeddings, test.probabilities, noisy)
        for size in SIZES:
            windows = random.integers(0, len(test), (bench.windows, size))
            yield detection(LABEL_NOISE_NAME, severity, bench.scores(sample, windows, labelled=True), size)


def detection(name: str, severity: int, scores: Mapping[str, NDArray[np.floating]], size: int) -> Detection:
    by_statistic = {statistic: float((values > 1).mean()) for statistic, values in scores.items()}
    return Detection(name, severity, size, float(is_drifted(scores).mean()), by_statistic)


def render(bench: Bench, clean: list[Clean], detections: list[Detection]) -> str:
    """The figures as the tables that the documents quote."""
    alarm = bench.params.monitor.alarm
    aimed = {one.corruption: one.rate for one in detections if (one.size, one.severity) == (AIM_SIZE, AIM_SEVERITY)}
    numbers = list(dict.fromkeys(one.windows for one in clean))
    missed = [f"{name} ({rate:.1%})" for name, rate in aimed.items() if rate < AIM]
    parts = [
        f"Clean windows that count as drifted, at most {alarm.false_alarm_rate:.0%} allowed, and alarms "
        f"({alarm.needed} of the last {alarm.of} windows):",
        "\n".join(_clean_table(clean)),
        f"Windows that count as drifted, {bench.windows:,} a figure, by size and severity (1 to 5):",
        "\n".join(_detection_table(detections)),
        *(_false_aim([one for one in clean if one.windows == number], alarm.false_alarm_rate) for number in numbers),
        f"Aim, {AIM:.0%} of windows of {AIM_SIZE} at severity {AIM_SEVERITY}: "
        f"{'not met for ' + ', '.join(missed) if missed else 'met for every corruption'}; "
        f"the lowest rate is {min(aimed.values()):.1%}.",
    ]
    return "\n\n".join(parts) + "\n"


def _false_aim(clean: list[Clean], allowed: float) -> str:
    most = max(one.drifted / one.windows for one in clean)
    verdict = "met" if most <= allowed else "not met"
    return (
        f"Aim, at most {allowed:.0%} false, by {clean[0].windows:,} windows: {verdict}; the highest rate is {most:.2%}."
    )


def _clean_table(clean: list[Clean]) -> Iterator[str]:
    yield "| images in a window | labels | windows | drifted | rate, exact 95 % interval | alarms |"
    yield "|---|---|---|---|---|---|"
    for one in clean:
        rate = f"{one.drifted / one.windows:.2%} ({one.low:.2%} to {one.high:.2%})"
        labels = "all" if one.labelled else "none"
        yield f"| {one.size:,} | {labels} | {one.windows:,} | {one.drifted} | {rate} | {one.alarms} |"


def _detection_table(detections: list[Detection]) -> Iterator[str]:
    yield f"| corruption | {' | '.join(f'{size:,}: {severity}' for size in SIZES for severity in SEVERITIES)} |"
    yield "|---" * (1 + len(SIZES) * len(SEVERITIES)) + "|"
    rates = {(one.corruption, one.size, one.severity): one.rate for one in detections}
    for name in dict.fromkeys(one.corruption for one in detections):
        cells = [_percent(rates[name, size, severity]) for size in SIZES for severity in SEVERITIES]
        yield f"| {name} | {' | '.join(cells)} |"


def _percent(rate: float) -> str:
    """No rate is called 100 % that is less."""
    return "100%" if rate == 1 else f"{100 * rate:.1f}%"


def draw(detections: list[Detection], path: Path) -> None:
    """A curve of each size over severity, a panel a corruption."""
    names = list(dict.fromkeys(one.corruption for one in detections))
    figure = Figure(figsize=(11, 7), layout="constrained")
    panels = figure.subplots(3, 4, sharex=True, sharey=True).ravel()
    for panel, name in zip(panels, names, strict=True):
        for size, colour in zip(SIZES, ("#9ecae1", "#4292c6", "#08306b"), strict=True):
            chosen = [one for one in detections if one.corruption == name and one.size == size]
            rates = [100 * one.rate for one in chosen]
            panel.plot([one.severity for one in chosen], rates, marker="o", color=colour, label=f"{size:,} images")
        panel.axhline(100 * AIM, color="grey", linestyle="--", linewidth=0.8)
        panel.set(title=name, xticks=SEVERITIES, ylim=(-3, 103))
        panel.grid(alpha=0.3)
    panels[0].legend(loc="lower right")
    figure.supxlabel("severity")
    figure.supylabel("windows that count as drifted, %")
    # Without a salt and with a date, every run would be another file.
    with atomic_file(path) as temporary, rc_context({"svg.hashsalt": "drift", "font.family": "DejaVu Sans"}):
        figure.savefig(temporary, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
