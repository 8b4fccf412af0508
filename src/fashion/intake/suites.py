"""The suites in expectations/, with limits taken from the data; every expectation says how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fashion.arrays import LabelledImages
from fashion.images.descriptors import describe_dataset
from fashion.intake import chance
from fashion.intake.support import SEVERITY, measure_support

BLANK_BELOW = 0.5
"""Of the contrast that 99 % of the images exceed."""
WIDER = 0.1
"""How much of their range values may lie outside of it."""
NEAR_MEAN = 0.25
"""How many of their standard deviations the mean of a column may move."""
SUPPORT_LEFT = 0.5
"""Of what the labels of a class have where the images have changed in the way that leaves them the least."""
DIVERGENCE, DIVERGENCE_OF_BATCH = 0.01, 0.1
"""Kullback and Leibler's, in nats, from the shares of the classes."""

Suite = list[dict[str, Any]]
TYPES = {"split": "str", "content_hash": "str"} | dict.fromkeys(
    ("index", "label", "minimum", "maximum", "height", "width", "earlier_copies", "copies_in_test"), "int64"
)
"""Of columns; those that are not named are float64."""


@dataclass(frozen=True)
class Measured:
    """What limits are taken from."""

    table: pd.DataFrame
    """The descriptors of both splits."""
    shares: Mapping[str, Sequence[float]]
    """Of the classes, by split."""
    support: Mapping[str, pd.DataFrame]
    """How well the labels of test images agree with those of similar images, by how the images have changed."""

    @property
    def classes(self) -> list[int]:
        return list(range(len(self.shares["train"])))

    def of(self, split: str) -> pd.DataFrame:
        return self.table[self.table["split"] == split]


def measure(train: LabelledImages, test: LabelledImages, classes: int) -> Measured:
    """Describe both splits of a dataset."""
    splits = {"train": train, "test": test}
    shares = {
        name: (np.bincount(split.labels, minlength=classes) / len(split.labels)).tolist()
        for name, split in splits.items()
    }
    return Measured(describe_dataset(splits), shares, measure_support(train, test))


def derive_suites(measured: Measured, origin: str) -> dict[str, Suite]:
    """Return the expectations of each suite.

    Args:
        origin: what the limits are derived from, for `meta`.
    """
    suites = {
        "images": [*_columns(measured), *_form(measured), *_limits(measured)],
        "train": _split(measured, "train", "training"),
        "test": _split(measured, "test", "test"),
        "batch": _batch(measured),
    }
    for expectations in suites.values():
        for one in expectations:
            one["meta"]["derived"] = f"by fashion import from {origin}: {one['meta']['derived']}"
    return suites


def blank_below(table: pd.DataFrame) -> float:
    """Return the contrast below which an image is blank."""
    return round(BLANK_BELOW * float(table["standard_deviation"].quantile(0.01)), 2)


def quarantined_share(measured: Measured) -> float:
    """Return the share of the images that the suite `images` puts into quarantine as the data are."""
    return float(_is_quarantined(measured.table).mean())


def fit_counts(measured: Measured) -> list[int]:
    """Return how many training images of each class are left then."""
    fit = (measured.table["split"] == "train") & ~_is_quarantined(measured.table)
    counts: list[int] = np.bincount(measured.table.loc[fit, "label"], minlength=len(measured.classes)).tolist()
    return counts


def _is_quarantined(table: pd.DataFrame) -> "pd.Series[bool]":
    copied = (table["earlier_copies"] > 0) | (table["copies_in_test"] > 0)
    return copied | (table["standard_deviation"] < blank_below(table))


def _columns(measured: Measured) -> Suite:
    columns = list(measured.table.columns)
    wrong = "the table does not have the columns that the other expectations check"
    found = [_expect("expect_table_columns_to_match_ordered_list", "fail", wrong, column_list=columns)]
    for column in columns:
        reason = f"the column {column} has the wrong type"
        kind = TYPES.get(column, "float64")
        found.append(_expect("expect_column_values_to_be_of_type", "fail", reason, column=column, type_=kind))
    return found


def _form(measured: Measured) -> Suite:
    in_set = "expect_column_values_to_be_in_set"
    sides = {column: sorted(map(int, measured.table[column].unique())) for column in ("height", "width")}
    return [
        _expect(in_set, "quarantine", "its label is not a class", column="label", value_set=measured.classes),
        *(
            _expect(in_set, "fail", f"an image does not have the dataset's {side}", column=side, value_set=values)
            for side, values in sides.items()
        ),
    ]


def _limits(measured: Measured) -> Suite:
    table = measured.table
    between = "expect_column_values_to_be_between"
    return [
        _blank(table),
        _expect(between, "quarantine", "a copy of an earlier image", column="earlier_copies", max_value=0),
        _expect(between, "quarantine", "a copy of a test image", column="copies_in_test", max_value=0),
        *(
            _expect(
                between,
                "warn",
                f"its {column.replace('_', ' ')} is unlike that of the images so far",
                f"the range of the images, and {WIDER:.0%} of it to either side",
                column=column,
                **_range(table[column]),
            )
            for column in ("mean", "ink_fraction", "saturation", "sharpness")
            if column in table
        ),
    ]


def _blank(table: pd.DataFrame) -> dict[str, Any]:
    return _expect(
        "expect_column_values_to_be_between",
        "quarantine",
        "blank: almost no contrast",
        f"{BLANK_BELOW:.0%} of what 99 % of the images exceed",
        column="standard_deviation",
        min_value=blank_below(table),
    )


def _range(values: "pd.Series[float]") -> dict[str, float]:
    low, high = float(values.min()), float(values.max())
    wider = WIDER * (high - low)
    return {"min_value": round(low - wider, 3), "max_value": round(high + wider, 3)}


def _split(measured: Measured, split: str, words: str) -> Suite:
    table = measured.of(split)
    mean, kind = "expect_column_mean_to_be_between", "saturation" if "saturation" in table else "ink_fraction"
    how = f"the mean, and {NEAR_MEAN} standard deviations to either side"
    brighter = f"the {words} images are much brighter or darker than they should be; are they inverted?"
    unlike = f"the {kind.replace('_', ' ')} of the {words} images is not what it was"
    return [
        _expect("expect_table_row_count_to_equal", "fail", f"the number of {words} images changed", value=len(table)),
        _balance(
            measured.shares[split], DIVERGENCE, f"the classes are not as frequent as they were among the {words} images"
        ),
        _expect(mean, "fail", brighter, how, column="mean", **_around(table["mean"])),
        _expect(mean, "warn", unlike, how, column=kind, **_around(table[kind])),
    ]


def _around(values: "pd.Series[float]") -> dict[str, float]:
    wider = NEAR_MEAN * float(values.std())
    return {"min_value": round(float(values.mean()) - wider, 3), "max_value": round(float(values.mean()) + wider, 3)}


def _balance(shares: Sequence[float], threshold: float, reason: str) -> dict[str, Any]:
    return _expect(
        "expect_column_kl_divergence_to_be_less_than",
        "fail",
        reason,
        f"the shares of the classes; {threshold} nats away from them at most",
        column="label",
        partition_object={"values": list(range(len(shares))), "weights": list(shares)},
        threshold=threshold,
        tail_weight_holdout=0.001,
    )


def _batch(measured: Measured) -> Suite:
    columns = [*measured.table.columns, "label_support", "class_label_support"]
    shares = measured.shares["train"]
    wrong = "the table does not have the columns that the other expectations check"
    few = "too few images to judge their labels"
    far = "the classes are far from as frequent as they were: is one missing, or are two confused?"
    return [
        _expect("expect_table_columns_to_match_ordered_list", "fail", wrong, column_list=columns),
        *_form(measured),
        *_limits(measured)[:3],
        _expect("expect_table_row_count_to_be_between", "fail", few, min_value=chance.FEWEST_IN_BATCH),
        _balance(shares, max(DIVERGENCE_OF_BATCH, chance.divergence_by_chance(shares)), far),
        *_credible(measured.support, shares),
    ]


def _credible(support: Mapping[str, pd.DataFrame], shares: Sequence[float]) -> Suite:
    mean, after = min((chance.least_support(table, shares), name) for name, table in support.items())
    least, after_of_class = min(
        (chance.least_support_of_a_class(table, SUPPORT_LEFT), name) for name, table in support.items()
    )
    mixed = "the labels disagree with those of similar images: were they mixed up?"
    confused = "the labels of one class disagree with those of similar images: is it confused with another?"
    halfway = f"halfway between chance and {_found_after(after)}"
    left = f"{SUPPORT_LEFT:.0%} of {_found_after(after_of_class)}"
    expected = [
        _expect("expect_column_mean_to_be_between", "fail", mixed, halfway, column="label_support", min_value=mean)
    ]
    if least:  # Where it is usual that nothing supports a class, no batch can be told by that.
        column = "class_label_support"
        expected += [_expect("expect_column_min_to_be_between", "fail", confused, left, column=column, min_value=least)]
    return expected


def _found_after(change: str) -> str:
    batches = f"98 % of batches of {chance.FEWEST_IN_BATCH} of them"
    return f"what test images have after {change} {SEVERITY}, or what {batches} have"


def _expect(kind: str, on_breach: str, reason: str, derived: str = "as the data are", **kwargs: Any) -> dict[str, Any]:
    return {"type": kind, "kwargs": kwargs, "meta": {"on_breach": on_breach, "reason": reason, "derived": derived}}
