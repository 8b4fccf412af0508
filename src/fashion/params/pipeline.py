"""Parameters of the stages: from data to the exported model."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from fashion.params.recipe import Recipe
from fashion.params.section import Positive, Section, Share

ClassName = Annotated[str, Field(pattern=r"^[^\p{C}\p{Zl}\p{Zp}]+$")]
"""A single printable line."""
Classes = Annotated[tuple[ClassName, ...], Field(min_length=2, max_length=256, strict=False)]
Edge = Annotated[int, Field(ge=8, le=1024)]
ImageSize = Annotated[tuple[Edge, Edge], Field(strict=False)]
"""Height and width in pixels. YAML has only lists, so the tuple itself is not strict."""


class DataFile(Section):
    """One file of the dataset: in IDX, or a Parquet shard."""

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class PicturesParams(Section):
    """How a picture of any size and kind becomes an image of the dataset. It is registered with each version."""

    channels: Literal[1, 3] = 1
    """1: grey, 3: red, green and blue."""
    isolate: bool = True
    """Cut one object out of a plain background and show it bright on black, filling the frame, as in Fashion-MNIST."""
    fit: Literal["crop", "pad", "stretch"] | None = None
    """What happens to a picture of another aspect: its middle is cut out, or it is padded, or stretched."""
    ground: Annotated[int, Field(ge=0, le=255)] | None = None
    """The grey level under transparent pixels, and around a picture that is padded."""

    @model_validator(mode="after")
    def _one_way_is_chosen(self) -> Self:
        if self.isolate and (self.channels, self.fit, self.ground) != (1, None, None):
            raise ValueError(
                "isolate makes grey images, and finds place and ground itself: set channels: 1, remove fit and ground"
            )
        if not self.isolate and None in (self.fit, self.ground):
            raise ValueError("without isolate, fit (crop, pad or stretch) and ground (0 to 255) must be given")
        return self


IDX_FILES = ("train_images", "train_labels", "test_images", "test_labels")


class DataParams(Section):
    """The dataset: its classes, the form of its images, its files (four of IDX, or shards), and where to get them."""

    classes: Classes
    image_size: ImageSize
    pictures: PicturesParams = PicturesParams()
    train_images: DataFile | None = None
    train_labels: DataFile | None = None
    test_images: DataFile | None = None
    test_labels: DataFile | None = None
    shards: Annotated[tuple[DataFile, ...], Field(strict=False)] = ()
    """Parquet files that hold pictures and their labels, in the order in which they are read."""
    sources: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        return (*self.image_size, self.pictures.channels)

    @property
    def files(self) -> tuple[DataFile, ...]:
        """All files: the shards, or images and labels for training, and the same for testing."""
        return self.shards or self.idx_files

    @property
    def idx_files(self) -> tuple[DataFile, ...]:
        """Images and labels for training, then those for testing; none where there are shards."""
        files = (self.train_images, self.train_labels, self.test_images, self.test_labels)
        return tuple(file for file in files if file is not None)

    @model_validator(mode="after")
    def _files_are_in_one_format(self) -> Self:
        there = [name for name in IDX_FILES if getattr(self, name) is not None]
        if self.shards and there:
            raise ValueError(f"shards and {there[0]} exclude each other: give Parquet files, or four IDX files")
        if missing := [name for name in IDX_FILES if name not in there and not self.shards]:
            raise ValueError(f"{', '.join(missing)}: missing; give the four IDX files, or Parquet files (shards)")
        return self

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes: each class name must be unique")
        if len({file.name for file in self.files}) != len(self.files):
            raise ValueError("the names of the data files must be unique")
        return self


class ValidateParams(Section):
    max_quarantined: Share
    """Share of all images; if more are quarantined, the run fails."""


class PrepareParams(Section):
    validation_fraction: Annotated[float, Field(gt=0, lt=1)]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    recent_test_fraction: Annotated[float, Field(gt=0, lt=1)]
    """Share of the collected images with a label requested at random that is held out: the recent test set. All others
    are used for training."""
    recent_copies: Positive
    """How many times each collected image is in the training set, to balance the many older ones."""


RecipeName = Annotated[str, Field(pattern=r"^[\w.-]{1,64}$")]


class StartFrom(Section):
    """The model whose weights a training starts with; `fashion start-from` writes it."""

    version: Annotated[str, Field(pattern=r"^[\w.-]+ \d+$")]
    """The registered model and its version, for people: fashion-classifier 3."""
    path: Annotated[str, Field(pattern=r"^data/start/[\w-]+\.keras$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class TrainParams(Section):
    recipe: RecipeName
    """The name of the recipe in use."""
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    start_from: StartFrom | None = None
    """None: all weights start at random."""
    recipes: dict[RecipeName, Recipe]

    @model_validator(mode="before")
    @classmethod
    def _is_not_of_an_earlier_release(cls, content: Any) -> Any:
        if lines := list(_lines_to_write(content)):
            raise ValueError("\n    ".join(["these keys are from release 0.2 or earlier; write", *lines]))
        return content

    @model_validator(mode="after")
    def _the_recipe_is_there(self) -> Self:
        if self.recipe not in self.recipes:
            raise ValueError(f"recipe: {self.recipe!r} is not one of the recipes ({', '.join(self.recipes)})")
        return self

    @property
    def chosen(self) -> Recipe:
        """The recipe in use."""
        return self.recipes[self.recipe]


def _lines_to_write(train: Any) -> Iterator[str]:
    """Yield what to write instead of the keys of release 0.2, in which a recipe had the name of its network."""
    if not isinstance(train, dict):
        return
    if "model" in train:
        yield f"recipe: {train['model']} instead of model: {train['model']}"
    recipes = train.get("recipes")
    for name, recipe in recipes.items() if isinstance(recipes, dict) else ():
        if isinstance(recipe, dict) and "shift" in recipe:
            shift = recipe["shift"]
            yield f"augmentation: {{shift: {shift}}} instead of shift: {shift}, in recipes.{name}"
        if isinstance(recipe, dict) and "network" not in recipe and "model" in train:
            yield f"network: {name}, in recipes.{name}"


class EvaluationGates(Section):
    accuracy_at_least: Share
    recall_of_every_class_at_least: Share
    abstention_on_nonsense_at_least: Share
    """Share of generated noise and textures on which the model abstains."""
    expected_calibration_error_at_most: Share
    model_bytes_at_most: Positive
    latency_milliseconds_at_most: Annotated[float, Field(gt=0, le=3_600_000)]


class AbstentionParams(Section):
    """When a model should abstain."""

    confidence_at_least: Share
    distance_quantile: Annotated[float, Field(gt=0, lt=1)]
    """Share of the validation images that count as known."""


class EvaluateParams(Section):
    calibration_bins: Annotated[int, Field(ge=2, le=1000)]
    abstention: AbstentionParams
    gates: EvaluationGates


class ExportGates(Section):
    saved_model_agreement_at_least: Share
    float_agreement_at_least: Share
    int8_agreement_at_least: Share
    onnx_agreement_at_least: Share | None = None
    """Without it no ONNX file is made."""


class ExportParams(Section):
    gates: ExportGates
