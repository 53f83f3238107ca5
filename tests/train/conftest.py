"""A problem small enough to check by hand: two classes of 2 x 2 pictures, and a linear network."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import data, nn


class Linear(nn.Module):
    """Scores of two classes from four pixels, with dropout of nothing, to have a part that knows its mode."""

    def __init__(self):
        super().__init__()
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(0.0)
        self.fc = nn.Linear(4, 2)

    def forward(self, input):
        return self.fc(self.dropout(self.flatten(input)))


@pytest.fixture
def model():
    tg.manual_seed(0)
    return Linear()


@pytest.fixture
def pictures():
    """Twenty pictures; the class says which of the two columns is brighter."""
    generator = np.random.default_rng(0)
    labels = np.arange(20) % 2
    images = generator.uniform(0, 0.4, (20, 1, 2, 2)).astype(np.float32)
    images[np.arange(20), 0, :, labels] += 0.5
    return data.TensorDataset(images, labels)


@pytest.fixture
def batches(pictures):
    """Three batches, the last of them smaller."""
    return data.DataLoader(pictures, batch_size=8)
