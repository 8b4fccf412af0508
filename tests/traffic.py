"""What a service would have logged."""

from datetime import UTC, datetime, timedelta

import numpy as np
from scipy.ndimage import shift

from fashion.adapters import litert
from fashion.adapters.keeping import encode_picture
from fashion.adapters.predictions import PredictionLog, Record
from fashion.images.synthetic import draw
from fashion.registry.champion import find_champion
from fashion.settings import predictions_url
from tests.logs import id_at


class Traffic:
    """Predictions of the champion as a service would log them, a second apart, long enough ago to be looked at."""

    def __init__(self, project, params):
        found = find_champion(project, params)
        self.champion, self.identity = found.champion, found.version.identity
        self.log = PredictionLog(predictions_url(project))
        self.time = datetime.now(UTC) - timedelta(days=1)
        self.seed = 100

    def send(self, count, change=lambda images: images, version=None, labelled=False, asked=True, enlarged=0):
        """Log predictions for drawn images, their labels asked for or not; their ids and true classes.

        Where `enlarged`, as if they had been made from pictures so many times their size.
        """
        self.seed += 1
        images, labels = draw(count, 10, (28, 28), seed=self.seed)
        images = change(images)
        outputs = litert.predict(self.champion.model, images)
        sent = (
            [encode_picture(np.kron(image[..., 0], np.ones((enlarged,) * 2, np.uint8))) for image in images]
            if enlarged
            else [None] * count
        )
        records = [
            Record(
                self._id(),
                self.time,
                version or self.champion.version,
                *row,
                None,
                self.identity,
                asked=asked,
                picture=picture,
            )
            for picture, *row in zip(sent, images, outputs.probabilities, outputs.embedding, strict=True)
        ]
        self.log.write(records)
        ids = [record.id for record in records]
        if labelled:
            self.label(ids, labels)
        return ids, labels

    def label(self, ids, labels):
        for one, label in zip(ids, labels, strict=True):
            self.log.add_label(one, int(label), "test")

    def _id(self):
        self.time += timedelta(seconds=1)
        return id_at(self.time)


def frames(image, count, seed):
    """As a camera sees one object: moved by up to a pixel, in other light, with noise."""
    random = np.random.default_rng(seed)
    moved = [shift(image.astype(np.float64), (*random.uniform(-1, 1, 2), 0), order=1) for _ in range(count)]
    lit = np.stack(moved) * random.uniform(0.8, 1.2, (count, 1, 1, 1)) + random.normal(0, 3, (count, *image.shape))
    return lit.clip(0, 255).round().astype(np.uint8)


def inverted(images):
    return 255 - images
