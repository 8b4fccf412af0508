"""What `benchmarks.experiments` tries: the recipe `compact` with one thing changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fashion.params import Recipe, recipe_with

BASE = "compact"


@dataclass(frozen=True)
class Variant:
    """A change to the recipe, and under which heading it stands."""

    group: str
    name: str
    changes: Mapping[str, Any]
    rates: tuple[float, ...] = ()
    """For another optimizer: learning rates, of which the best is chosen first."""

    def recipe(self, base: Recipe, rate: float | None = None) -> Recipe:
        """Return the changed recipe.

        Args:
            rate: for another optimizer. Weights then decay by as much in a step as in `base`: Keras multiplies the
                decay by the rate, and rates of optimizers differ a hundredfold.
        """
        if rate is None:
            return recipe_with(base, self.changes)
        decay = base.weight_decay * base.learning_rate / rate
        return recipe_with(base, {**self.changes, "learning_rate": rate, "weight_decay": decay})


SGD = {"optimizer": "sgd", "momentum": 0.9}
SGD_RATES = (0.03, 0.1, 0.3)
VARIANTS = (
    Variant("optimizer", "adam", {"optimizer": "adam"}, (0.001, 0.003, 0.01)),
    Variant("optimizer", "sgd, momentum 0.9", SGD, SGD_RATES),
    Variant("optimizer", "sgd, nesterov 0.9", {**SGD, "nesterov": True}, SGD_RATES),
    Variant("optimizer", "rmsprop", {"optimizer": "rmsprop"}, (0.0003, 0.001, 0.003)),
    *(Variant("activation", name, {"activation": name}) for name in ("leaky_relu", "elu", "gelu", "silu", "tanh")),
    Variant("regularisation", "none: weight_decay 0, shift 0", {"weight_decay": 0.0, "augmentation.shift": 0}),
    Variant("regularisation", "weight_decay 0", {"weight_decay": 0.0}),
    Variant("regularisation", "weight_decay 0.2", {"weight_decay": 0.2}),
    Variant("regularisation", "l2 0.0001", {"l2": 0.0001}),
    Variant("regularisation", "dropout 0.3", {"dropout": 0.3}),
    Variant("regularisation", "label_smoothing 0.1", {"label_smoothing": 0.1, "one_hot": True}),
    Variant("augmentation", "shift 0", {"augmentation.shift": 0}),
    Variant("augmentation", "shift 2", {"augmentation.shift": 2}),
    Variant("augmentation", "mirror", {"augmentation.mirror": True}),
    Variant("augmentation", "crop 0.1", {"augmentation.crop": 0.1}),
    Variant("augmentation", "brightness 0.2", {"augmentation.brightness": 0.2}),
    Variant("augmentation", "contrast 0.2", {"augmentation.contrast": 0.2}),
    Variant("answering", "average_shifts 0", {"average_shifts": 0}),
    Variant("network", "width 0.5", {"width": 0.5}),
    Variant("network", "width 1.5", {"width": 1.5}),
    Variant("network", "depth 2", {"depth": 2}),
)
"""`compact` itself has muon, relu, weight_decay 0.1, shift 1, average_shifts 1, width 1, depth 1."""
