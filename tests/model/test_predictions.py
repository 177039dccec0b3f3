"""Answers of a model agree with its evaluation, with scikit-learn, and with what is known of simple cases."""

import numpy as np
import pytest
import torch
from helpers import TINY
from sklearn.metrics import confusion_matrix

from qpatch.data import Split
from qpatch.model import predictions as module
from qpatch.model.predictions import Predictions, predict
from qpatch.model.qnn import PatchQNN
from qpatch.model.training import evaluate

# Three classes; the fourth image is a tie with the second in loss.
KNOWN = Predictions(np.array([0, 1, 2, 1]), np.array([0, 2, 2, 0]), np.array([0.1, 3.0, 0.2, 3.0]), 3)


def test_the_mean_answer_is_the_evaluation(shapes):
    model = PatchQNN(TINY)
    answers = predict(model, shapes.test)
    loss, accuracy = evaluate(model, shapes.test)
    assert answers.losses.mean() == pytest.approx(loss, rel=1e-6)  # float32 logits, both means in float64
    assert answers.accuracy == accuracy
    assert np.array_equal(answers.labels, shapes.test.labels.numpy())


def test_chunks_change_nothing(shapes, monkeypatch):
    model = PatchQNN(TINY)
    whole = predict(model, shapes.test)
    monkeypatch.setattr(module, "image_chunk", lambda model, statevectors: 7)  # does not divide the 30 images
    parts = predict(model, shapes.test)
    assert np.allclose(whole.losses, parts.losses, rtol=1e-5)
    assert np.array_equal(whole.predicted, parts.predicted)


def test_losses_are_the_logarithms_of_the_label_s_probability(shapes):
    model = PatchQNN(TINY).double()
    split = shapes.test.to(model.bias)
    answers = predict(model, split)
    with torch.no_grad():
        probabilities = torch.exp(model(split.images)).numpy()
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    assert np.allclose(answers.losses, -np.log(probabilities[range(len(split)), answers.labels]), rtol=1e-9)


def test_confusion_counts_labels_by_row():
    assert KNOWN.confusion().tolist() == [[1, 0, 0], [1, 0, 1], [0, 0, 1]]
    random = np.random.default_rng(3)
    labels, said = random.integers(0, 10, (2, 500))
    found = Predictions(labels, said, np.zeros(500), 10).confusion()
    assert np.array_equal(found, confusion_matrix(labels, said, labels=range(10)))
    assert found.trace() / 500 == Predictions(labels, said, np.zeros(500), 10).accuracy


def test_a_class_that_never_appears_keeps_its_row():
    one = Predictions(np.array([0]), np.array([0]), np.array([0.1]), 4)
    assert one.confusion().shape == (4, 4)


def test_the_hardest_come_first_and_ties_in_order():
    assert KNOWN.hardest(3).tolist() == [1, 3, 2]
    assert KNOWN.hardest(9).tolist() == [1, 3, 2, 0]
    with pytest.raises(ValueError, match="0 hardest images; ask for one or more"):
        KNOWN.hardest(0)


def test_no_images_are_refused():
    nothing = Split(torch.zeros(0, 8, 8), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(ValueError, match="holds no image"):
        predict(PatchQNN(TINY), nothing)
