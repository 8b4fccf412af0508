"""Images as points in a plane, in which similar images lie side by side."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors

from fashion.arrays import Bytes, Floats, Labels

COMPONENTS = 50
PERPLEXITY = 30
ITERATIONS = 500
ANGLE = 0.8
"""How coarsely far points are taken together: 5,000 images of Fashion-MNIST end at the same divergence (1.38) as with
the usual 0.5, in three quarters of the time."""
FEWEST = 10
"""With fewer images t-SNE has no neighbours to keep: the plane is that of the two main components."""


@dataclass(frozen=True)
class Embedding:
    """Points for images."""

    points: NDArray[np.float64]
    """(n, 2)."""
    agreement: float
    """The share of the images whose nearest neighbour, among the main components, has their label."""


def embed(images: Bytes, labels: Labels) -> Embedding:
    """Return the images in a plane: 50 principal components, then t-SNE.

    L. van der Maaten, G. Hinton, "Visualizing Data using t-SNE", Journal of Machine Learning Research 9 (2008); it
    starts from the two main components, so that the same images give the same picture (D. Kobak, P. Berens,
    "The art of using t-SNE for single-cell transcriptomics", Nature Communications 10, 2019).

    Args:
        images: (n, height, width, channels), of at most some thousand pixels each.
    """
    flat = images.reshape(len(images), -1) / np.float32(255)
    components = _main_components(flat)
    agreement = _agreement(components, labels) if len(labels) > 1 else 1.0
    start = components[:, :2] / max(float(components[:, 0].std()), 1e-9)
    if len(images) < FEWEST or not components.any():
        return Embedding(start.astype(np.float64), agreement)
    perplexity = min(PERPLEXITY, (len(images) - 1) / 3)
    initial = (start * 1e-4).astype(np.float32)
    plane = TSNE(perplexity=perplexity, init=initial, max_iter=ITERATIONS, angle=ANGLE, random_state=0)
    return Embedding(plane.fit_transform(components).astype(np.float64), agreement)


def thin(points: NDArray[np.float64], cells: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose a point for each cell of a grid over the points in which there is one: the nearest to its centre.

    Returns:
        the positions of the chosen points (k,), and column and row of their cells (k, 2), from 0 to `cells` - 1.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    places = (points - low) / np.maximum(high - low, 1e-9) * cells
    cell = np.minimum(places.astype(np.int64), cells - 1)
    away = np.abs(places - cell - 0.5).max(axis=1)
    order = np.lexsort((away, cell[:, 1], cell[:, 0]))
    first = np.r_[True, (np.diff(cell[order], axis=0) != 0).any(axis=1)]
    chosen = order[first]
    return chosen, cell[chosen]


def _main_components(flat: Floats) -> NDArray[np.float32]:
    """Return the images (n, d) along their main components, at least two."""
    count = min(COMPONENTS, *flat.shape)
    found = np.zeros((len(flat), max(2, count)), np.float32)
    if len(flat) > 1 and np.ptp(flat, axis=0).any():
        found[:, :count] = PCA(count, random_state=0).fit_transform(flat)
    return found


def _agreement(components: NDArray[np.float32], labels: Labels) -> float:
    nearest = NearestNeighbors(n_neighbors=2).fit(components).kneighbors(components, return_distance=False)
    # An exact copy may come before the image itself.
    other = np.where(nearest[:, 0] == np.arange(len(labels)), nearest[:, 1], nearest[:, 0])
    return float((labels[other] == labels).mean())
