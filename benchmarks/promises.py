"""What `benchmarks.soak` measured: as figures, the service's promises that they break, and the page that shows them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import theilslopes

from benchmarks.clients import PROMISES, Notes
from benchmarks.disturbances import Database
from benchmarks.endings import ids_in
from benchmarks.results import measured_on, paragraphs, table

BLOCK_SECONDS = 30
"""Of each the least memory counts: that of pictures which are being decoded comes and goes."""
FLAT = 20.0
"""MiB an hour: memory grows where the lower end of its slope's interval is above."""
ENOUGH_BLOCKS = 10
"""To judge growth by."""
GONE_SECONDS = 5.0
NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def describe(
    notes: Notes,
    figures: Mapping[str, int],
    mebibytes: Sequence[tuple[float, float]],
    warm_up_minutes: float,
    database: Database,
) -> dict[str, Any]:
    """Return what came of the traffic; the database must be there.

    Args:
        figures: what the service itself has counted.
        mebibytes: seconds since the start, and the memory then.
    """
    in_log, taught = ids_in(database, "predictions", "id"), ids_in(database, "labels", "prediction_id")
    return {
        "kinds": {kind: describe_kind(notes, kind) for kind in PROMISES if notes.seconds[kind]},
        "late": notes.late,
        "unexpected": notes.unexpected,
        "service": dict(figures),
        "answered": len(notes.answered),
        "in_log": len(in_log),
        "missing": len(notes.answered - in_log),
        "unknown_though_in_log": len(notes.unknown & in_log),
        "labels_taken": len(notes.taught),
        "labels_missing": len(notes.taught - taught),
        "memory": describe_memory(mebibytes, warm_up_minutes),
    }


def describe_kind(notes: Notes, kind: str) -> dict[str, Any]:
    seconds = notes.seconds[kind]
    p50, p99 = np.quantile(seconds, [0.5, 0.99])
    statuses = {str(status): count for status, count in sorted(notes.statuses[kind].items())}
    figures = {"p50_seconds": float(p50), "p99_seconds": float(p99), "most_seconds": max(seconds)}
    return {"requests": len(seconds), "statuses": statuses, **figures, "deadline_seconds": PROMISES[kind][0]}


def describe_memory(mebibytes: Sequence[tuple[float, float]], warm_up_minutes: float) -> dict[str, Any]:
    """Return the least memory of each half minute, and by how much it grows after the warm-up.

    That is the median of the slopes of all pairs (H. Theil, 1950; P. K. Sen, 1968): a burst hardly moves it.
    """
    blocks: dict[int, float] = {}
    for seconds, size in mebibytes:
        block = int(seconds // BLOCK_SECONDS)
        blocks[block] = min(size, blocks.get(block, size))
    warm = [block for block in blocks if block * BLOCK_SECONDS >= 60 * warm_up_minutes]
    slope, interval = None, None
    if len(warm) >= ENOUGH_BLOCKS:
        hours = [block * BLOCK_SECONDS / 3600 for block in warm]
        fit = theilslopes([blocks[block] for block in warm], hours, 0.95)
        slope, interval = float(fit.slope), [float(fit.low_slope), float(fit.high_slope)]
    return {
        "warm_up_minutes": warm_up_minutes,
        "least_mebibytes": list(blocks.values()),
        "most_mebibytes": max(size for _, size in mebibytes),
        "slope": slope,
        "interval": interval,
    }


def broken_promises(run: Mapping[str, Any]) -> list[str]:
    """Return one sentence, without its full stop, for each promise that was not kept."""
    return [*_of_answers(run), *_of_the_log(run), *_of_memory(run["memory"]), *_of_endings(run["endings"])]


def _of_answers(run: Mapping[str, Any]) -> Iterator[str]:
    for words, found in (("late", run["late"]), ("not as they should be", run["unexpected"])):
        if found:
            yield f"{len(found)} answers are {words}, the first: {found[0]}"
    if run["tracebacks"]:
        yield f"{run['tracebacks']} tracebacks are in the service's log"


def _of_the_log(run: Mapping[str, Any]) -> Iterator[str]:
    made, written, lost = (run["service"][name] for name in ("predictions", "log_written", "log_lost"))
    if run["missing"] > lost:
        yield f"{run['missing']} answered predictions are not in the log, and {lost} counted as lost"
    if made != written + lost:
        yield f"{made} predictions were made, {written} written and {lost} lost"
    if run["in_log"] != written:
        yield f"{written} predictions count as written, and {run['in_log']} are in the log"
    if run["labels_missing"]:
        yield f"{run['labels_missing']} labels were taken and are not in the log"
    if run["unknown_though_in_log"]:
        yield f"{run['unknown_though_in_log']} predictions of the log were said to be unknown"


def _of_memory(memory: Mapping[str, Any]) -> Iterator[str]:
    if memory["interval"] and memory["interval"][0] > FLAT:
        yield f"memory grows by {memory['slope']:.0f} MiB an hour"


def _of_endings(endings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in endings:
        if one["seconds"] > GONE_SECONDS:
            yield f"{one['situation']}, it was gone {one['seconds']:.1f} s after SIGTERM"
        if one["missing"] > one["said_to_be_lost"]:
            yield (
                f"{one['situation']}, {one['missing']} predictions are not in the log after SIGTERM, and "
                f"{one['said_to_be_lost']} were said to be lost"
            )
        if found := [*one["late"], *one["unexpected"]]:
            yield f"{one['situation']}, {len(found)} answers were late or wrong, the first: {found[0]}"


def render(results: Mapping[str, Any]) -> str:
    """Return the tables and sentences that docs/serving.md quotes."""
    parts = [part for kind, run in results["runs"].items() for part in _render_run(NAMES[kind], run)]
    return paragraphs(f"{measured_on(results['machine'])}.", *parts)


def _render_run(name: str, run: Mapping[str, Any]) -> Iterator[str]:
    yield f"**{name}**, {run['minutes']:g} minutes:"
    heads = ["clients", "requests", "answers", "p50, s", "p99, s", "slowest, s", "deadline, s"]
    yield table(heads, (_cells(kind, one) for kind, one in run["kinds"].items()))
    yield "\n".join(f"- {sentence}" for sentence in _sentences(run))


def _cells(kind: str, one: Mapping[str, Any]) -> list[str]:
    answers = ", ".join(f"{count:,} x {status}" for status, count in one["statuses"].items())
    times = [f"{one[figure]:.3f}" for figure in ("p50_seconds", "p99_seconds", "most_seconds")]
    return [kind, f"{one['requests']:,}", answers, *times, f"{one['deadline_seconds']:.0f}"]


def _sentences(run: Mapping[str, Any]) -> Iterator[str]:
    service, memory, endings = run["service"], run["memory"], run["endings"]
    yield (
        f"{run['answered']:,} predictions answered: {run['missing']:,} of them not in the log, {service['log_lost']:,} "
        f"counted as lost; {run['labels_taken']:,} labelled, {run['labels_missing']} of these labels not in the log."
    )
    yield f"{len(run['late'])} answers after their deadline; {service['swaps']} changes of the champion."
    least, most = memory["least_mebibytes"], memory["most_mebibytes"]
    words = f"Memory, the least of each half minute: {least[0]:.0f} MiB at first, {least[-1]:.0f} at last"
    if memory["slope"] is not None:
        low, high = memory["interval"]
        words += f"; from minute {memory['warm_up_minutes']:g} on "
        words += f"{memory['slope']:+.1f} MiB an hour ({low:+.1f} to {high:+.1f})"
    yield f"{words}; while the largest pictures are decoded at most {most:.0f}."
    slowest = max(one["seconds"] for one in endings)
    missing, said = (sum(one[figure] for one in endings) for figure in ("missing", "said_to_be_lost"))
    yield (
        f"{len(endings)} starts, gone at most {slowest:.1f} s after SIGTERM; of their predictions {missing:,} are not "
        f"in the log, {said:,} were said to be lost."
    )
    if run["disk"]:
        yield f"The disk was not filled: {run['disk']}."
    yield from (f"**Broken:** {promise}." for promise in run["broken"])
