"""Loading the model that `train` saved."""

from pathlib import Path

import keras

from fashion.errors import ArtifactError


def load_classifier(path: Path) -> keras.Model:
    """Load the model from a .keras file. No code in the file is ever run.

    Raises:
        ArtifactError: the file is missing, damaged, or not such a model.
    """
    if not path.is_file():
        raise ArtifactError(f"{path} is missing; make it with: dvc repro train")
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
        for layer in ("logits", "temperature"):
            model.get_layer(layer)
    except Exception as error:  # Keras raises many kinds for a damaged file.
        raise ArtifactError(
            f"{path} is not a model of this project ({error}); make it again with: dvc repro train"
        ) from error
    return model
