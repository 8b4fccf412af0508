"""A recipe: a network and how it is trained, with every key that a person or a search may change."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from fashion.errors import ParamsError
from fashion.params.problems import explain
from fashion.params.section import Positive, Section

Rate = Annotated[float, Field(ge=0, lt=1)]
TAKES: Mapping[str, tuple[str, ...]] = {
    "baseline": ("activation",),
    "dropout": ("activation", "dropout"),
    "compact": ("width", "depth", "pooling", "activation", "dropout"),
    "pretrained": ("dropout",),
}
"""The keys that change the layers of a network. The others of a recipe are for every network."""
SMALLEST: Mapping[str, int] = {"baseline": 10, "dropout": 10}
"""The shortest side of the images that a network takes, where not all that params.yaml allows."""
BackboneName = Literal["MobileNetV3Small", "MobileNetV3Large", "MobileNetV2", "EfficientNetV2B0"]
SHAPING = ("width", "depth", "pooling", "activation", "dropout")


class Augmentation(Section):
    """How a training image may be changed each time it is used; what is left out changes nothing."""

    shift: Annotated[int, Field(ge=0, le=1024)] = 0
    """Move it by up to this many pixels in both directions."""
    mirror: bool = False
    """Flip it left to right, or not, at random. Not for classes that differ in left and right."""
    crop: Rate = 0.0
    """Cut up to this share of height and width away, somewhere, and enlarge the rest to the image's size."""
    brightness: Rate = 0.0
    """Make it darker or brighter: multiply it by a factor between 1 - brightness and 1 + brightness."""
    contrast: Rate = 0.0
    """Multiply the distance of its pixels from their mean by a factor between 1 - contrast and 1 + contrast."""


class Backbone(Section):
    """What the network `pretrained` is built on; `fashion backbone` writes it."""

    name: BackboneName
    path: Annotated[str, Field(pattern=r"^data/backbones/[\w-]+(\.weights)?\.h5$")]
    """The file with its weights."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    head_epochs: Positive | None = None
    """How many times the head uses the features of each training image, before everything is fine-tuned. None: as often
    as 1,000 steps take."""


class Recipe(Section):
    """A network and how it is trained."""

    network: Literal["baseline", "dropout", "compact", "pretrained"]
    epochs: Positive
    batch_size: Positive
    optimizer: Literal["adam", "sgd", "rmsprop", "muon"]
    learning_rate: Annotated[float, Field(gt=0, le=1000)]
    """The peak learning rate if there is a schedule."""
    momentum: Rate = 0.0
    """Used by sgd only."""
    nesterov: bool = False
    """Look ahead by the momentum; used by sgd only."""
    weight_decay: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """In each step every weight loses this share of itself, times the learning rate."""
    schedule: Literal["constant", "one_cycle", "cosine", "exponential", "step"] = "constant"
    """How the learning rate changes over all steps."""
    width: Annotated[float, Field(ge=0.1, le=8)] = 1.0
    """Times the filters and hidden units of the network."""
    depth: Annotated[int, Field(ge=1, le=8)] = 1
    """Convolutions in each block."""
    pooling: Literal["none", "average"] = "none"
    """average: The hidden layer gets the mean of each feature over the image instead of its value in every cell: fewer
    weights, and where in the image something is makes no difference."""
    activation: Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh"] = "relu"
    dropout: Rate | None = None
    """Share of the last hidden layer's outputs that a step leaves out. None: as the network has it."""
    backbone: Backbone | None = None
    """Used by pretrained only, which needs it."""
    l2: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """Added to the loss: this, times the sum of the squares of all kernels."""
    class_weights: Literal["none", "balanced", "logit_adjusted"] = "none"
    """How classes of unequal size are trained. balanced: the loss for an image is weighted by the inverse frequency of
    its class. logit_adjusted: while training, the logarithm of each class's share is added to its logit, so that the
    network need not learn which classes are frequent."""
    one_hot: bool = False
    """One-hot labels with categorical cross-entropy instead of sparse categorical cross-entropy."""
    label_smoothing: Rate = 0.0
    augmentation: Augmentation = Augmentation()
    precision: Literal["float32", "bfloat16"] = "float32"
    """What the network computes in while it is trained; its weights and its answers are float32 either way.
    bfloat16 is used where the CPU has it: adapters.machine."""
    average_shifts: Annotated[int, Field(ge=0, le=4)] = 0
    """Average the outputs for the image and for its copies moved by this many pixels up, down, left and right.
    Training takes no longer, inference four to five times as long."""
    patience: Positive | None = None
    """Stop after this many epochs without a better validation accuracy."""

    @model_validator(mode="after")
    def _keys_go_together(self) -> Self:
        if problems := [*_unknown_to_the_network(self), *_backbone_missing_or_idle(self), *_contradictions(self)]:
            raise ValueError("\n    ".join(problems))
        return self


def problem_of_size(network: str, image_size: tuple[int, int]) -> str | None:
    """Return why the network takes no images of this height and width; None if it does."""
    least = SMALLEST.get(network, 0)
    return f"the network {network} takes images of at least {least} pixels a side" if min(image_size) < least else None


def recipe_with(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Return the recipe with some keys changed, checked like one of params.yaml.

    Args:
        changes: values by key; a key of a section has the section's name in front: `augmentation.shift`.

    Raises:
        ParamsError: a key is unknown, or a value impossible, alone or beside the others.
    """
    content = recipe.model_dump()
    for name, value in changes.items():
        *sections, key = name.split(".")
        place = content
        for section in sections:
            inner = place.get(section)
            if not isinstance(inner, dict):
                raise ParamsError(f"{name}: a recipe has no section {section}, only augmentation")
            place = inner
        place[key] = value
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise ParamsError("\n  ".join(["This recipe cannot be used:", *explain(error)])) from error


def _unknown_to_the_network(recipe: Recipe) -> Iterator[str]:
    """Yield what to write instead of the keys that change layers which the network does not have."""
    for key in SHAPING:
        unchanged = getattr(recipe, key) == Recipe.model_fields[key].default
        if unchanged or key in TAKES.get(recipe.network, ()):
            continue
        takers = [name for name, keys in TAKES.items() if key in keys]
        yield (
            f"{key}: the network {recipe.network} does not take it; remove {key}, or write network: "
            f"{' or network: '.join(takers)}"
        )


def _backbone_missing_or_idle(recipe: Recipe) -> Iterator[str]:
    """Yield what to write where a backbone and its network do not stand together."""
    if recipe.network == "pretrained" and not recipe.backbone:
        yield "backbone: the network pretrained needs one; to have it written, type: fashion backbone"
    if recipe.network != "pretrained" and recipe.backbone:
        yield f"backbone: the network {recipe.network} does not take it; remove backbone, or write network: pretrained"


def _contradictions(recipe: Recipe) -> Iterator[str]:
    """Yield what to write instead of keys that do not go together."""
    if recipe.optimizer != "sgd":
        for key in ("momentum", "nesterov"):
            if getattr(recipe, key):
                yield f"{key}: {recipe.optimizer} does not take it; remove {key}, or write optimizer: sgd"
    elif recipe.nesterov and not recipe.momentum:
        yield "nesterov: it looks ahead by the momentum, which is 0; remove nesterov, or write momentum: 0.9"
    if recipe.patience is not None and recipe.schedule != "constant":
        yield (
            f"patience: a {recipe.schedule} schedule learns most in its last, small steps, which a training that stops "
            "early never takes; remove patience, or set schedule: constant"
        )
    if recipe.label_smoothing and not recipe.one_hot:
        yield "label_smoothing needs one_hot: true; write it, or remove label_smoothing"
