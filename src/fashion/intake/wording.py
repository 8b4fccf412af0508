"""What was found, in words."""

from collections.abc import Iterator, Mapping, Sequence

from fashion.images.assignment import SPLITS
from fashion.intake.bring import Plan
from fashion.intake.findings import DARK, Found, Repeated

NAMED = 3
"""Files that are named; all of them are in a list."""


def class_rows(found: Found) -> list[dict[str, str]]:
    """Return a row for each class: its pictures by split, and its share."""
    splits = [split for split in SPLITS if found.in_split(split)]
    return [
        {
            "class": name,
            **{split: f"{counts.get(split, 0):,}" for split in splits},
            "share": f"{sum(counts.values()) / found.images:.1%}",
        }
        for name, counts in found.counts.items()
    ]


def sentences(plan: Plan) -> Iterator[str]:
    """Yield what was found, a line each."""
    yield from _pictures(plan)
    yield from _copies(plan.found, plan.arranged.largest_group)
    yield from _not_taken(plan)
    name, share = plan.found.majority
    yield f"The largest class is {name} with {share:.1%}: a model that always says so is right as often."
    yield f"On the disk: {plan.found.disk / 1e6:,.1f} MB, in data/ and in DVC's cache."
    yield from _kept(plan)


def _pictures(plan: Plan) -> Iterator[str]:
    found, (height, width, channels) = plan.found, plan.scanned.form.shape
    (low, middle, high) = (f"{height} x {width}" for height, width in found.sizes)
    sizes = f"all {low}" if low == high else f"from {low} to {high}, the middle one {middle}"
    usable = len(plan.scanned.items)
    kinds = f"{found.grey:,} of {usable:,} are grey, {found.transparent:,} transparent"
    yield f"Pictures: {sizes} pixels (height x width); {kinds}."
    ground = "white" if plan.scanned.form.pictures.ground else "black"
    kind = "in colour" if channels == 3 else "grey"
    yield f"Images: {height} x {width} pixels, {kind}; {ground} where a picture is transparent or leaves a margin."
    if 2 * found.dark > usable:
        yield (
            f"{found.dark:,} of {usable:,} are nearly black: no value is above {DARK - 1} of 255. Values of 10 or 12 "
            "bits in files of 16 bits have to be stretched first."
        )
    given = " and ".join(found.given) or "no split"
    held_out = [split for split in ("validation", "test") if split not in found.given]
    words = (
        f"; {' and '.join(held_out)} {'are' if held_out[1:] else 'is'} held out by group and class" if held_out else ""
    )
    stay = " Pictures of the former import stay in its splits." if plan.known and "test" in held_out else ""
    yield f"Splits: the source has {given}{words}.{stay}"


def _copies(found: Found, largest_group: int) -> Iterator[str]:
    for repeated, kind in ((found.exact, "exact copies"), (found.near, "near copies")):
        if repeated.images:
            yield _repeated(repeated, kind)
    if largest_group > 1:
        yield f"Groups stay on one side of every split; the largest has {largest_group:,} pictures."
    if found.leaked:
        they, them, their = ("it", "it", "its") if found.leaked == 1 else ("they", "them", "their")
        yield (
            f"{_count(found.leaked, 'picture is', 'pictures are')} left out, since {they}, near copies of {them} or "
            f"others of {their} group are in a later split (artifacts/import/left_out.csv)."
        )


def _count(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"


def _repeated(repeated: Repeated, kind: str) -> str:
    across = f", {repeated.across:,} of them across splits" if repeated.across else ""
    labels = f", {repeated.two_labels:,} with several classes" if repeated.two_labels else ""
    groups = _count(repeated.groups, "group", "groups")
    return f"{repeated.images:,} pictures are {kind} of each other, in {groups}{across}{labels}."


def _not_taken(plan: Plan) -> Iterator[str]:
    refused, passed_over = plan.scanned.refused, plan.wanted.source.passed_over
    if refused:
        pictures = _count(len(refused), "picture", "pictures")
        yield f"{pictures} cannot be used (artifacts/import/refused.csv):{_named(refused)}"
    if passed_over:
        others = _count(len(passed_over), "file is no picture", "files are not pictures")
        yield f"{others}: {_listed(passed_over)}"
    if plan.found.empty:
        yield f"Classes without pictures, which are left out: {_listed(plan.found.empty)}."


def _named(refused: Mapping[str, str]) -> str:
    lines = [f"\n  {name}: {reason}" for name, reason in list(refused.items())[:NAMED]]
    return "".join(lines) + ("\n  ..." if len(refused) > NAMED else "")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")


def _kept(plan: Plan) -> Iterator[str]:
    if plan.known:
        yield f"{plan.known.name} is known: what was derived for it is brought up to date, and its form stays."
    if plan.classes.new:
        yield (
            f"New classes: {_listed(plan.classes.new)}. The champion stays; it and a model of all classes are compared "
            "on those that both know."
        )
    if plan.classes.lost:
        yield (
            f"Classes that are gone: {_listed(plan.classes.lost)}. Before a model without them becomes champion, a "
            "person has to agree."
        )
    if plan.lost_batches:
        yield (
            f"Batches of collected images that are dropped, as their classes or form differ: {plan.lost_batches}. "
            "fashion import --undo brings them back."
        )
    for name in plan.kept:
        yield f"Edited since, and kept: {name}"
