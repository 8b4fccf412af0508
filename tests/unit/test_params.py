import json
from pathlib import Path

import pytest
import yaml
from dvc.utils.serialize import parse_yaml

from fashion.errors import ParamsError
from fashion.params import load_params
from fashion.params.pipeline import IDX_FILES
from fashion.params.recipe import SMALLEST
from fashion.reading import load_yaml
from tests.networks import untrained

SHIPPED = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture
def changed(tmp_path):
    """Writes params.yaml with one value changed; the path of keys is dotted."""

    def write(keys, value):
        content = yaml.safe_load(SHIPPED.read_text())
        *path, last = keys.split(".")
        section = content
        for key in path:
            section = section[key]
        section[last] = value
        file = tmp_path / "params.yaml"
        file.write_text(yaml.safe_dump(content))
        return file

    return write


def test_the_shipped_parameters_are_valid():
    params = load_params(SHIPPED)
    assert params.train.chosen == params.train.recipes["compact"]


@pytest.mark.parametrize(
    ("keys", "value", "complaint"),
    [
        ("train.epoch", 3, "train.epoch: unknown key"),
        ("extra", 1, "extra: unknown key"),
        ("train.recipes.compact.epochs", 0, "train.recipes.compact.epochs: Input should be greater than 0 (found 0)"),
        ("train.recipes.compact.epochs", "many", "found 'many'"),
        ("train.recipe", "huge", "'huge' is not one of the recipes"),
        ("validate.max_quarantined", 1.5, "validate.max_quarantined: Input should be less than or equal to 1"),
        ("prepare.validation_fraction", 0, "prepare.validation_fraction"),
        ("data.pictures", {"channels": 2}, "data.pictures.channels: Input should be 1 or 3 (found 2)"),
        ("data.pictures", {"channels": 3}, "isolate makes grey images"),
        ("data.pictures", {"fit": "crop"}, "remove fit and ground"),
        ("data.pictures", {"isolate": False, "fit": "crop"}, "fit (crop, pad or stretch) and ground (0 to 255)"),
        ("data.pictures", {"isolate": False, "fit": "fill", "ground": 0}, "data.pictures.fit"),
        ("data.pictures", {"isolate": False, "fit": "pad", "ground": 256}, "data.pictures.ground"),
        ("data.classes", ["one", "one"], "each class name must be unique"),
        ("data.classes", ["one", "two\nlines"], "data.classes.1"),
        ("data.classes", ["one", "two\u2028lines"], "data.classes.1"),
        ("data.train_images.name", "../../etc/passwd", "data.train_images.name"),
        ("evaluate.gates.accuracy_at_least", float("nan"), "evaluate.gates.accuracy_at_least"),
        ("train.recipes.compact.patience", 2, "remove patience, or set schedule: constant"),
        ("monitor.largest_window", 99, "99 is less than alarm.smallest_window, 100"),
        ("monitor.largest_window", 300, "300 is less than settling, 400"),
        ("monitor.alarm.needed", 4, "4 of the last 3 windows can never be drifted"),
    ],
)
def test_an_impossible_value_is_named_with_what_was_found(changed, keys, value, complaint):
    with pytest.raises(ParamsError) as error:
        load_params(changed(keys, value))
    assert complaint in str(error.value)


def test_two_recipes_of_one_network_differ_in_what_their_keys_say(changed):
    compact = yaml.safe_load(SHIPPED.read_text())["train"]["recipes"]["compact"]
    bold = compact | {"augmentation": {"shift": 3}}
    train = load_params(
        changed("train", {"recipe": "bold.1", "seed": 1, "recipes": {"mild": compact, "bold.1": bold}})
    ).train
    assert (train.chosen.network, train.chosen.augmentation.shift) == ("compact", 3)
    assert train.recipes["mild"].augmentation.shift == 1


def test_a_file_of_release_0_2_is_answered_with_every_line_to_write(tmp_path):
    content = yaml.safe_load(SHIPPED.read_text())
    recipes = {
        name: {key: value for key, value in recipe.items() if key not in ("network", "augmentation")}
        for name, recipe in content["train"]["recipes"].items()
    }
    recipes["compact"]["shift"] = 2
    content["train"] = {"model": "dropout", "seed": 1, "recipes": recipes}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ParamsError) as error:
        load_params(tmp_path / "params.yaml")
    for line in (
        "recipe: dropout instead of model: dropout",
        "network: compact, in recipes.compact",
        "network: baseline, in recipes.baseline",
        "augmentation: {shift: 2} instead of shift: 2, in recipes.compact",
    ):
        assert f"\n    {line}" in str(error.value)


@pytest.mark.parametrize("network", SMALLEST)
def test_images_that_are_too_small_for_the_network_are_refused(tmp_path, network):
    content = yaml.safe_load(SHIPPED.read_text())
    content["train"]["recipe"] = network
    for side, fits in ((SMALLEST[network], True), (SMALLEST[network] - 1, False)):
        content["data"]["image_size"] = [40, side]
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
        if fits:
            assert untrained(network, load_params(tmp_path / "params.yaml").data.shape, 3).count_params()
            continue
        with pytest.raises(ParamsError, match=f"write network: compact in train.recipes.{network}, or a larger"):
            load_params(tmp_path / "params.yaml")


def test_an_unknown_key_is_answered_with_the_likely_one(changed):
    with pytest.raises(ParamsError, match="did you mean seed"):
        load_params(changed("train.sed", 1))


def test_a_project_from_before_there_were_colours_isolates_grey_objects(tmp_path):
    content = yaml.safe_load(SHIPPED.read_text())
    del content["data"]["pictures"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    data = load_params(tmp_path / "params.yaml").data
    assert data.pictures == load_params(SHIPPED).data.pictures
    assert data.shape == (28, 28, 1)


def test_a_project_from_before_there_was_a_tolerance_of_its_own_goes_on(tmp_path):
    content = yaml.safe_load(SHIPPED.read_text())
    del content["monitor"]["overconfidence_tolerated"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    assert load_params(tmp_path / "params.yaml").monitor.overconfidence_tolerated == 0.02


def with_data(tmp_path, change):
    content = yaml.safe_load(SHIPPED.read_text())
    change(content["data"])
    content = json.loads(json.dumps(content))
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    return load_params(tmp_path / "params.yaml").data


def to_shards(data):
    files = [data.pop(name) for name in IDX_FILES]
    data["shards"] = [file | {"name": f"train-{number}.parquet"} for number, file in enumerate(files)]


def test_a_dataset_is_four_idx_files_or_shards(tmp_path):
    data = with_data(tmp_path, to_shards)
    assert [file.name for file in data.files] == [f"train-{number}.parquet" for number in range(4)]
    assert data.idx_files == ()
    shipped = load_params(SHIPPED).data
    assert shipped.files == shipped.idx_files


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.pop("train_labels"), "data: .*train_labels: missing; give the four IDX files, or Parquet"),
        (lambda data: [data.pop(name) for name in IDX_FILES], "train_images, .*test_labels: missing"),
        (lambda data: data.update(shards=[data["train_images"]]), "shards and train_images exclude each other"),
        (lambda data: (to_shards(data), data["shards"].append(data["shards"][0])), "names of the data files must be"),
    ],
)
def test_a_dataset_of_half_a_format_or_two_is_refused(change, message, tmp_path):
    with pytest.raises(ParamsError, match=message):
        with_data(tmp_path, change)


def test_a_missing_section_is_named(tmp_path):
    content = yaml.safe_load(SHIPPED.read_text())
    del content["export"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ParamsError, match="export: this key is missing"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("text", ["a: [", "- just\n- a list\n", "", "\x00"])
def test_what_is_no_mapping_is_refused(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ParamsError):
        load_params(tmp_path / "params.yaml")


def test_a_missing_file_says_how_to_restore_it(tmp_path):
    with pytest.raises(ParamsError, match="git checkout"):
        load_params(tmp_path / "params.yaml")


def test_a_judgement_without_an_objective_is_refused(changed):
    with pytest.raises(ParamsError, match="at least one objective must be declared"):
        load_params(changed("register.judgement.objectives", {}))


def test_an_objective_may_be_left_out(changed):
    params = load_params(changed("register.judgement.objectives", {"size": 0.5}))
    assert params.register_.judgement.objectives.accuracy is None


@pytest.mark.parametrize(
    ("line", "written", "complaint"),
    [
        ("batch_size: 32", "batch_size: 010", "010 is octal in YAML 1.1 and decimal in YAML 1.2"),
        ("batch_size: 32", "batch_size: 1:30", "batch_size: Input should be a valid integer (found '1:30')"),
        ("batch_size: 32", 'batch_size: "32"', "batch_size: Input should be a valid integer (found '32')"),
        ("batch_size: 32", "batch_size: 32.0", "batch_size: Input should be a valid integer (found 32.0)"),
        ("seed: 1", "seed: on", "train.seed: Input should be a valid integer (found 'on')"),
        ("seed: 1", "seed: true", "train.seed: Input should be a valid integer (found True)"),
        ("learning_rate: 0.008", "learning_rate: yes", "learning_rate: Input should be a valid number (found 'yes')"),
        ("one_hot: true", "one_hot: on", "one_hot: Input should be a valid boolean (found 'on')"),
    ],
)
def test_what_two_dialects_of_yaml_read_differently_is_refused_in_words(tmp_path, line, written, complaint):
    file = tmp_path / "params.yaml"
    file.write_text(SHIPPED.read_text().replace(line, written, 1))
    with pytest.raises(ParamsError) as error:
        load_params(file)
    assert complaint in str(error.value)


def test_a_rate_with_an_exponent_and_a_class_called_on_are_read(tmp_path):
    file = tmp_path / "params.yaml"
    text = SHIPPED.read_text().replace("learning_rate: 0.008", "learning_rate: 8e-3").replace("[T-shirt/top,", "[on,")
    file.write_text(text)
    params = load_params(file)
    assert (params.train.chosen.learning_rate, params.data.classes[0]) == (0.008, "on")


@pytest.mark.parametrize(
    "value", ["on", "no", "1:30", "8e-3", "1_000", "0o10", "0x1F", "2026-01-01", "'010'", "~", ".5"]
)
def test_a_value_is_read_as_dvc_reads_it(tmp_path, value):
    file = tmp_path / "params.yaml"
    file.write_text(f"value: {value}\n")
    assert load_yaml(file, 100) == parse_yaml(file.read_text(), file)
