"""What a service would have logged."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from fashion.adapters import litert
from fashion.adapters.predictions import PredictionLog, Record
from fashion.images.synthetic import draw
from fashion.settings import predictions_url
from fashion.stages.champion import find_champion


class Traffic:
    """Predictions of the champion as a service would log them, a second apart, long enough ago to be looked at."""

    def __init__(self, project, params):
        found = find_champion(project, params)
        self.champion, self.identity = found.champion, found.lineage.identity
        self.log = PredictionLog(predictions_url(project))
        self.time = datetime.now(UTC) - timedelta(days=1)
        self.seed = 100

    def send(self, count, change=lambda images: images, version=None, labelled=False):
        """Log predictions for drawn images; their ids and true classes."""
        self.seed += 1
        images, labels = draw(count, 10, (28, 28), seed=self.seed)
        images = change(images)
        outputs = litert.predict(self.champion.model, images)
        records = [
            Record(self._id(), self.time, version or self.champion.version, *row, None, self.identity)
            for row in zip(images, outputs.probabilities, outputs.embedding, strict=True)
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
        return str(UUID(int=int(self.time.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62))


def inverted(images):
    return 255 - images
