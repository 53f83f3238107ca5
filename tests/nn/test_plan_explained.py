"""What plan says where shapes clash: the path, the arithmetic, the nearest fix."""

import re

import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import models, nn
from tinygrad_cnn.errors import ShapeError


def message(model, size):
    with pytest.raises(ShapeError) as caught:
        nn.plan(model, size)
    return str(caught.value)


class Classifier(nn.Module):
    """AlexNet's features, made for 227 pixels, and a classifier that may be wrong."""

    def __init__(self, features=256 * 6 * 6, flatten=True):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 96, 11, stride=4), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(96, 256, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
        )  # fmt: skip
        first = nn.Flatten() if flatten else nn.Identity()
        self.classifier = nn.Sequential(first, nn.Dropout(), nn.Linear(features, 100))

    def forward(self, x):
        return self.classifier(self.features(x))


def test_a_linear_layer_behind_maps():
    assert message(Classifier(4096), (3, 227, 227)) == (
        "plan: classifier.2 does not fit.\n"
        "  features.8 gives (n, 256, 6, 6); flattened 256*6*6 = 9216, but classifier.2 is Linear(4096, 100) and expects 4096.\n"
        "  Nearest fix: classifier.2 = Linear(9216, 100), or an input of 194x194 instead of 227x227."
    )


def test_the_input_that_was_meant():
    text = message(Classifier(), (3, 224, 224))
    assert "features.8 gives (n, 256, 5, 5); flattened 256*5*5 = 6400, but classifier.2 is Linear(9216, 100)" in text
    assert text.endswith("Nearest fix: classifier.2 = Linear(6400, 100), or an input of 227x227 instead of 224x224.")
    nn.plan(Classifier(), (3, 227, 227))
    with pytest.raises(ShapeError):
        nn.plan(Classifier(), (3, 226, 226))


def test_flatten_is_missing():
    text = message(Classifier(flatten=False), (3, 227, 227))
    assert "gives (n, 256, 6, 6), but classifier.2 is Linear(9216, 100) and expects 9216: it is not flattened" in text
    assert "256*6*6 = 9216" in text
    assert "Nearest fix: nn.Flatten() before classifier.2" in text


@pytest.mark.parametrize(
    ("layer", "fix"),
    [
        (nn.Linear(6, 10), "nn.AdaptiveAvgPool2d(1) and nn.Flatten() before 1"),
        (nn.Linear(9, 10, bias=False), "nn.Flatten() before 1 = Linear(7488, 10, bias=False)"),
    ],
)
def test_a_linear_layer_of_maps(layer, fix):
    text = message(nn.Sequential(nn.Conv2d(1, 6, 3, padding=1, stride=2), layer), (1, 64, 78))
    assert f"0 gives (n, 6, 32, 39), but 1 is Linear({layer.in_features}, 10) and expects" in text
    assert text.endswith(f"these are maps, and it takes rows.\n  Nearest fix: {fix}.")


def test_the_size_of_a_batch_in_the_place_of_a_samples():
    text = message(Classifier(), (1, 3, 227, 227))
    assert text.endswith("Nearest fix: the size of one sample, without the batch: (3, 227, 227).")
    text = message(Classifier(4096), (8, 3, 227, 227))  # wrong otherwise, too: the first thing first
    assert text.endswith("Nearest fix: the size of one sample, without the batch: (3, 227, 227).")


def test_linear_after_linear():
    net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(17, 2, bias=False))
    assert message(net, (8,)) == (
        "plan: 2 does not fit.\n"
        "  1 gives (n, 16), but 2 is Linear(17, 2) and expects 17.\n"
        "  Nearest fix: 2 = Linear(16, 2, bias=False)."
    )
    nn.plan(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2, bias=False)), (8,))


def test_the_input_itself():
    text = message(nn.Linear(5, 2), (6,))
    assert text == (
        "plan: the forward pass of Linear does not fit.\n"
        "  the input gives (n, 6), but the model is Linear(5, 2) and expects 5.\n"
        "  Nearest fix: the model = Linear(6, 2)."
    )


def test_channels():
    net = nn.Sequential(nn.Conv2d(1, 6, 3), nn.Conv2d(8, 16, 5, stride=2, bias=False))
    text = message(net, (1, 28, 28))
    assert "0 gives (n, 6, 26, 26), but 1 is Conv2d(8, 16, kernel_size=(5, 5), stride=(2, 2), bias=False) and expects 8" in text
    fix = re.search(r"Nearest fix: 1 = (.*)\.$", text)[1]
    net[1] = eval(f"nn.{fix}", {"nn": nn})
    assert nn.plan(net, (1, 28, 28)).output_shape == (1, 16, 11, 11)


def test_channels_last():
    text = message(nn.Sequential(nn.Conv2d(3, 6, 3)), (32, 32, 3))
    assert "the input gives (n, 32, 32, 3), but 0 is Conv2d(3, 6" in text
    assert "Nearest fix: x.permute(0, 3, 1, 2) before 0, since the channels seem to come last, or 0 = Conv2d(32, 6" in text


@pytest.mark.parametrize(
    ("norm", "fix"),
    [
        (nn.BatchNorm2d(5, eps=1e-3), "1 = BatchNorm2d(6, eps=0.001, momentum=0.1"),
        (nn.BatchNorm2d(5, relu=True), "1 = BatchNorm2d(6, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats"
         "=True, relu=True)"),
        (nn.GroupNorm(2, 8), "1 = GroupNorm(2, 6)"),
        (nn.InstanceNorm2d(3), "1 = InstanceNorm2d(6, eps=1e-05"),
    ],
)
def test_normalization(norm, fix):
    text = message(nn.Sequential(nn.Conv2d(1, 6, 3), norm), (1, 9, 9))
    assert "0 gives (n, 6, 7, 7), but 1 is " in text
    assert f"Nearest fix: {fix}" in text


def test_normalization_of_another_number_of_dimensions():
    text = message(nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm1d(6)), (1, 9, 9))
    assert "0 gives (n, 6, 7, 7), but 1 is BatchNorm1d, for 2 or 3 dimensions." in text
    assert text.endswith("Nearest fix: 1 = BatchNorm2d(6).")
    text = message(nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm1d(6, relu=True)), (1, 9, 9))
    assert text.endswith("Nearest fix: 1 = BatchNorm2d(6, relu=True).")


def test_a_kernel_that_is_larger_than_what_is_left():
    net = nn.Sequential(nn.Conv2d(1, 6, 5), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.MaxPool2d(2))
    text = message(net, (1, 11, 11))
    assert text.startswith("plan: 2 does not fit.\n  1 gives (n, 6, 3, 3).\n  conv2d: input height 3 + padding 0 + 0 is")
    assert text.endswith("Nearest fix: an input of 16x16 instead of 11x11.")
    nn.plan(net, (1, 16, 16))


class Residual(nn.Module):
    def __init__(self, stride, out, padding=1):
        super().__init__()
        self.conv = nn.Conv2d(8, out, 3, stride=stride, padding=padding)
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.conv(x) + self.relu(x)


def test_a_skip_that_does_not_fit():
    text = message(nn.Sequential(nn.Conv2d(3, 8, 1), Residual(2, 16)), (3, 16, 16))
    assert text.startswith("plan: 1 does not fit.\n  0 gives (n, 8, 16, 16).\n  add: shapes (1, 16, 8, 8) and (1, 8, 16, 16)")
    assert "(n, 16, 8, 8) was last made by 1.conv." in text
    assert "(n, 8, 16, 16) was last made by 1.relu." in text
    assert text.endswith("Nearest fix: a projection of the shortcut, Conv2d(8, 16, kernel_size=1, stride=2).")


def test_a_skip_with_other_channels():
    text = message(Residual(1, 16), (8, 6, 6))
    assert text.endswith("Nearest fix: a projection of the shortcut, Conv2d(8, 16, kernel_size=1).")


def test_a_padding_that_is_missing():
    text = message(nn.Sequential(Residual(1, 8, padding=0)), (8, 6, 6))
    # And not a 3x3 input, whose one pixel would be broadcast to all.
    assert text.endswith("Nearest fix: padding=1 at 0.conv.")


def test_the_padding_is_missing_at_the_layer_that_loses_the_pixels():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(8, 8, 3)
            self.second = nn.Conv2d(8, 8, 3, padding=1)

        def forward(self, x):
            return x + self.second(self.first(x))

    assert message(Block(), (8, 12, 12)).endswith("Nearest fix: padding=1 at first.")


def test_branches_that_cannot_be_joined():
    class Inception(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Conv2d(4, 8, 1)
            self.five = nn.Conv2d(4, 8, 5)

        def forward(self, x):
            return tg.cat([self.one(x), self.five(x)], dim=1)

    text = message(Inception(), (4, 12, 12))
    assert "(n, 8, 12, 12) was last made by one." in text
    assert "(n, 8, 8, 8) was last made by five." in text
    assert text.endswith("Nearest fix: padding=2 at five.")


def test_branches_of_which_neither_keeps_the_size():
    class Inception(nn.Module):
        def __init__(self):
            super().__init__()
            self.three = nn.Conv2d(4, 8, 3)
            self.five = nn.Conv2d(4, 8, 5, padding=(0, 1))

        def forward(self, x):
            return tg.cat([self.three(x), self.five(x)], dim=1)

    assert message(Inception(), (4, 12, 12)).endswith("Nearest fix: padding=1 at five.")


def test_a_view_of_another_size():
    class Viewing(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3)
            self.fc = nn.Linear(100, 3)

        def forward(self, x):
            return self.fc(self.conv(x).view(x.shape[0], 100))

    text = message(Viewing(), (1, 8, 8))
    assert "144" in text or "(1, 4, 6, 6)" in text
    assert text.endswith("Nearest fix: an input of 7x7 instead of 8x8.")


def test_the_original_error_is_the_cause():
    with pytest.raises(ShapeError) as caught:
        nn.plan(nn.Linear(5, 2), (6,))
    assert isinstance(caught.value.__cause__, ShapeError)


def test_no_fix_is_better_than_a_wrong_one():
    text = message(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(3), nn.Unfold(3)), (3,))
    assert "Nearest fix" not in text


def test_the_networks_of_the_literature():
    text = message(models.LeNet(), (1, 32, 32))
    assert "pool2 gives (n, 50, 5, 5); flattened 50*5*5 = 1250, but fc1 is Linear(800, 500) and expects 800." in text
    assert "Nearest fix: fc1 = Linear(1250, 500), or an input of 31x31 instead of 32x32." in text
    nn.plan(models.LeNet(), (1, 31, 31))
