"""What a trained model answers, image by image: predicted labels, losses, the confusion matrix, the hardest images."""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.metrics import confusion_matrix
from torch.nn.functional import cross_entropy

from qpatch.data import Split
from qpatch.model.qnn import PatchQNN
from qpatch.model.training import EVALUATION_STATES, image_chunk


@dataclass(frozen=True)
class Predictions:
    """A model's answers to n images, in their order: labels and predicted classes int64, cross-entropies float64."""

    labels: np.ndarray
    predicted: np.ndarray
    losses: np.ndarray
    n_classes: int

    @property
    def accuracy(self) -> float:
        """Share of the images whose prediction is right."""
        return float((self.predicted == self.labels).mean())

    def confusion(self) -> np.ndarray:
        """Numbers of images by label (row) and predicted class (column): ``(n_classes, n_classes)`` int64."""
        return confusion_matrix(self.labels, self.predicted, labels=range(self.n_classes))

    def hardest(self, count: int) -> np.ndarray:
        """Indices of the images of highest loss, the highest first; of equals, the first in order: ``(count,)``.

        All images where there are fewer; ValueError for a count below one.
        """
        if count < 1:
            raise ValueError(f"{count} hardest images; ask for one or more")
        return np.argsort(-self.losses, kind="stable")[:count]


@torch.no_grad()
def predict(model: PatchQNN, split: Split) -> Predictions:
    """Answers to every image of a split, in chunks that bound the memory; ValueError if there is none."""
    if not len(split):
        raise ValueError("the split holds no image; give one or more")
    prepared, chunk = model.prepare(), image_chunk(model, EVALUATION_STATES)
    logits = torch.cat([model.logits(prepared, images) for images in split.images.split(chunk)])
    losses = cross_entropy(logits.double(), split.labels, reduction="none")
    arrays = (values.cpu().numpy() for values in (split.labels, logits.argmax(1), losses))
    return Predictions(*arrays, model.config.n_classes)
