"""How often the alarm errs and what it sees; writes benchmarks/drift.json and .md and docs/drift.svg.

    python -m benchmarks.drift               # a few minutes on two cores; needs: dvc repro

The detector is built from the validation images and calibrated on them, with the numbers of params.yaml. The windows
are drawn from the test images, which have no part in that: 500 clean ones of each size, and 500 of each corruption,
severity and size. The model is the exported one, as it answers in service. A champion that has learned from collected
images is compared with its own first predictions: test images stand for those, too, and others for its windows.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from benchmarks.drift_page import SIZES, Clean, Detection, Settled, draw, render
from benchmarks.results import ROOT, save
from fashion.adapters import litert
from fashion.environment import apply_environment
from fashion.evaluation.alarm import Verdict, decide
from fashion.evaluation.drift import Detector, Sample, build_detector, descriptor_values, draw_labels, measure
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

PICTURE = ROOT / "docs" / "drift.svg"
LABEL_NOISE_NAME = "label noise"
REFERENCES, WINDOWS_EACH = 200, 24
"""Champions with first predictions of their own, and the clean windows that each is shown."""
Windows = NDArray[np.integer]


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
    windows = parser.parse_args().windows
    apply_environment(Project(ROOT))
    bench = prepare(Project(ROOT), windows)
    random = np.random.default_rng(0)
    split = load_split(bench.project, "test")
    test = see(bench.project, np.array(split.images), split.labels)
    clean = list(measure_clean(bench, test, random))
    settled = list(measure_settled(bench, test))
    detections = [
        *measure_corruptions(bench, np.array(split.images), split.labels, random),
        *measure_mixes(bench, test, random),
        *measure_label_noise(bench, test, random),
    ]
    rule = bench.params.monitor.alarm.model_dump()
    content = {
        "clean": [asdict(one) for one in clean],
        "settled": [asdict(one) for one in settled],
        "detections": [asdict(one) for one in detections],
    }
    page = render(bench.params.monitor.alarm, bench.windows, clean, settled, detections)
    save(__file__, {"rule": rule, "weights": dict(WEIGHTS), **content}, page)
    draw(detections, PICTURE)


def prepare(project: Project, windows: int) -> Bench:
    """Build the detector of the exported model and calibrate it for every size."""
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
    """Return what is logged of images (n, height, width)."""
    outputs = litert.predict(project.export / "model.tflite", images)
    descriptors = descriptor_values(describe(images))
    return Sample(descriptors, outputs.embedding, outputs.probabilities, labels.astype(np.int64))


def measure_clean(bench: Bench, test: Sample, random: np.random.Generator) -> Iterator[Clean]:
    """Measure as many windows as of anything else, and ten times as many others for a narrower interval."""
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


def measure_settled(bench: Bench, test: Sample) -> Iterator[Settled]:
    """Measure windows beside references drawn as a champion's first predictions come: at random, unlabelled."""
    monitor, random = bench.params.monitor, np.random.default_rng(2)
    for size in SIZES:
        found = []
        for _ in range(REFERENCES):
            order = random.permutation(len(test))
            first, later = test.rows(order[: monitor.settling]), test.rows(order[monitor.settling :])
            first = replace(first, labels=draw_labels(first.probabilities))
            detector = build_detector(first, monitor.overconfidence_tolerated, mix_by_chance=True)
            limits = calibrate(detector, size, 0, monitor.alarm.false_alarm_rate)
            windows = random.integers(0, len(later), (WINDOWS_EACH, size))
            scores = score(limits, measure(detector, later), windows)
            found.append((int(is_drifted(scores).sum()), count_alarms(scores, bench.params) > 0))
        drifted, alarmed = (sum(column) for column in zip(*found, strict=True))
        interval = binomtest(alarmed, REFERENCES).proportion_ci(0.95, method="exact")
        low, high = float(interval.low), float(interval.high)
        yield Settled(size, REFERENCES, REFERENCES * WINDOWS_EACH, drifted, alarmed, low, high)


def count_alarms(scores: Mapping[str, NDArray[np.floating]], params: Params) -> int:
    """Count the alarms if the windows came one after the other."""
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
    """Draw rows of images, (size,), whose classes come as often as the shares say."""
    weights = (shares / np.bincount(labels, minlength=len(shares)))[labels]
    return random.choice(len(labels), size, p=weights / weights.sum())


def measure_label_noise(bench: Bench, test: Sample, random: np.random.Generator) -> Iterator[Detection]:
    """Measure windows with wrong labels: every image is labelled, the images are clean."""
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


if __name__ == "__main__":
    main()
