"""The ONNX adapter: what Keras and tf2onnx write, ONNX Runtime runs."""

import numpy as np
import onnx as onnx_files
import pytest

from fashion.adapters import onnx
from fashion.errors import ArtifactError
from fashion.model.networks import answer, rebuild
from tests.networks import untrained

SHAPES = {"baseline": (28, 28, 1), "compact": (12, 16, 3)}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """By network: the model, grey or colour, and its file."""
    folder = tmp_path_factory.mktemp("onnx")
    models = {name: rebuild(untrained(name, shape, 4), 1.3, int(name == "compact")) for name, shape in SHAPES.items()}
    for name, model in models.items():
        onnx.export_onnx(model, folder / f"{name}.onnx")
    return {name: (model, folder / f"{name}.onnx") for name, model in models.items()}


def draw(name, count=7):
    return np.random.default_rng(0).integers(0, 256, (count, *SHAPES[name]), np.uint8)


@pytest.mark.parametrize("name", SHAPES)
def test_the_answers_are_those_of_keras_one_by_one_and_in_batches(exported, name):
    model, path = exported[name]
    expected = answer(model, draw(name)).probabilities
    assert onnx.predict(path, draw(name)) == pytest.approx(expected, abs=1e-5)
    assert onnx.predict(path, draw(name), batch_size=1) == pytest.approx(expected, abs=1e-5)
    assert onnx.latency(path, draw(name)[:1], repeats=3) > 0


@pytest.mark.parametrize("name", SHAPES)
def test_the_contract_is_one_of_names_that_a_client_can_read(exported, name):
    graph = onnx_files.load(exported[name][1]).graph
    assert [one.name for one in graph.input] == ["image"]
    assert [one.name for one in graph.output] == ["embedding", "probabilities"]
    assert {one.type.tensor_type.shape.dim[0].dim_param for one in (*graph.input, *graph.output)} == {"images"}
    onnx_files.checker.check_model(onnx_files.load(exported[name][1]), full_check=True)


def test_the_same_weights_give_the_same_bytes_whatever_was_converted_before(exported, tmp_path):
    model, path = exported["compact"]
    again = rebuild(model, temperature=1.3, average_shifts=1)  # Its layers have other numbers in their names.
    onnx.export_onnx(again, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == path.read_bytes()
    onnx.export_onnx(rebuild(model, temperature=1.4, average_shifts=1), tmp_path / "other.onnx")
    assert (tmp_path / "other.onnx").read_bytes() != path.read_bytes()


def test_the_file_holds_no_path(exported):
    for _, path in exported.values():
        model = onnx_files.load(path)
        words = [model.producer_name, model.doc_string, model.graph.name, model.graph.doc_string]
        words += [text for node in model.graph.node for text in (node.name, node.doc_string, *node.input, *node.output)]
        words += [constant.name for constant in model.graph.initializer]
        assert not [text for text in words if "/" in text or "\\" in text]
        assert not model.metadata_props
        assert str(path.parent).encode() not in path.read_bytes()


@pytest.mark.parametrize("kept", [0, 10, 20_000])
def test_a_damaged_file_is_named_in_one_line(exported, tmp_path, kept, capfd):
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(exported["compact"][1].read_bytes()[:kept])
    with pytest.raises(ArtifactError, match=r"damaged\.onnx cannot be run by ONNX Runtime.*export it again") as caught:
        onnx.predict(damaged, draw("compact"))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_file_that_opens_and_fails_on_images_is_named(exported, tmp_path, capfd):
    model = onnx_files.load(exported["compact"][1])
    for place in model.graph.initializer:
        if list(place.dims) == [4]:  # The biases of the logits: one for each class.
            place.CopyFrom(onnx_files.numpy_helper.from_array(np.zeros(3, np.float32), place.name))
    (tmp_path / "wrong.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ArtifactError, match=r"wrong\.onnx cannot be run"):
        onnx.predict(tmp_path / "wrong.onnx", draw("compact"))
    assert capfd.readouterr() == ("", "")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ArtifactError, match=r"missing\.onnx cannot be read"):
        onnx.predict(tmp_path / "missing.onnx", draw("compact"))


def test_images_of_another_size_are_refused_with_both_sizes(exported):
    with pytest.raises(ArtifactError, match=r"\(12, 16, 3\).*\(28, 28, 1\)"):
        onnx.predict(exported["compact"][1], draw("baseline"))


def test_a_model_with_other_names_is_refused_with_the_names_it_has(exported, tmp_path):
    model = onnx_files.load(exported["baseline"][1])
    for node in model.graph.node:
        node.input[:] = ["numbers" if one == "image" else one for one in node.input]
    model.graph.input[0].name = "numbers"
    (tmp_path / "other.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ArtifactError, match="found numbers and embedding, probabilities"):
        onnx.predict(tmp_path / "other.onnx", draw("baseline"))
