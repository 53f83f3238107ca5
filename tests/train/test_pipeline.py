"""From settings to batches: what is done to the images, and what does not go together."""

from dataclasses import replace

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import data, models
from tinygrad_cnn.errors import ArgumentError, DataError
from tinygrad_cnn.train import pipeline
from tinygrad_cnn.train.pipeline import Pipeline
from tinygrad_cnn.train.recipes import recipe_for

DIGITS = data.MNIST(train=False, subset=True)


def digits(**changes):
    return Pipeline.of(replace(recipe_for("small_lenet5"), data="mnist-subset", **changes))


def first(dataset, count=4):
    images, _ = dataset.get_batch(range(count))
    return np.asarray(images)


@pytest.mark.parametrize("normalization", ["unit", "standard", "lecun98"])
def test_digits_are_scaled_as_normalize_digits_says(normalization):
    expected = data.normalize_digits(DIGITS.images[:4], normalization)
    np.testing.assert_allclose(first(digits(normalization=normalization).val), expected, atol=1e-6)


def test_digits_for_lenet5_stand_in_a_frame_of_paper():
    settings = replace(recipe_for("lenet5"), data="mnist-subset")
    expected = data.normalize_digits(DIGITS.images[:4], "lecun98", pad=2)
    np.testing.assert_allclose(first(Pipeline.of(settings).val), expected, atol=1e-6)


def test_only_training_images_are_distorted_and_each_time_anew():
    plain, distorted = digits(), digits(augment=True)
    np.testing.assert_array_equal(first(plain.val), first(distorted.val))
    assert (first(plain.train) != first(distorted.train)).any()
    assert (first(distorted.train) != first(distorted.train)).any()
    # It is still the same digit: about as much ink, at about the same place.
    assert np.abs(first(plain.train).mean() - first(distorted.train).mean()) < 0.05


@pytest.fixture
def pictures(monkeypatch):
    """CIFAR-10's place is taken by five pictures whose pixels are the channels' means, but for one of them."""
    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    images = np.broadcast_to(np.array(mean, np.float32)[:, None, None], (5, 3, 32, 32)).copy()
    images[:, :, 5, 7] += np.array(std)

    class Pictures(data.Dataset):
        def __init__(self, root, train, transform):
            self.transform = transform

        def __len__(self):
            return 5

        def __getitem__(self, index):
            return self.transform(images[index]), index

    known = replace(pipeline.DATA_SETS["cifar10"], make=Pictures)
    monkeypatch.setitem(pipeline.DATA_SETS, "cifar10", known)


def test_small_pictures_are_scaled_channel_by_channel(pictures):
    image, _ = Pipeline.of(recipe_for("resnet20")).val[0]
    expected = np.zeros((3, 32, 32))
    expected[:, 5, 7] = 1
    np.testing.assert_allclose(image, expected, atol=1e-4)


def test_small_pictures_are_shifted_by_up_to_4_pixels_and_flipped(pictures):
    """The one bright pixel tells where each picture went: to (5, 7) or its mirror image (5, 24), give or take 4."""
    tg.manual_seed(0)
    train = Pipeline.of(recipe_for("resnet20")).train
    spots = {tuple(map(int, np.argwhere(train[0][0][0] > 0.5)[0])) for _ in range(300)}
    rows, columns = {row for row, _ in spots}, {column for _, column in spots}
    assert rows == set(range(1, 10))
    assert columns == {*range(3, 12), *range(20, 29)}


@pytest.fixture
def folder(tmp_path):
    """A directory of pictures in two classes: red ones and blue ones, of several sizes."""
    for part in ("train", "val"):
        for name, colour in (("blue", (0, 0, 255)), ("red", (255, 0, 0))):
            (tmp_path / part / name).mkdir(parents=True)
            for i, (width, height) in enumerate([(260, 300), (300, 240)]):
                content = f"P6 {width} {height} 255\n".encode() + bytes(colour) * (width * height)
                (tmp_path / part / name / f"{i}.ppm").write_bytes(content)
    return tmp_path


@pytest.mark.parametrize("augment", [False, True])
def test_pictures_of_a_directory_come_in_the_networks_size(augment, folder):
    found = Pipeline.of(replace(recipe_for("resnet18"), data=str(folder), batch_size=4, augment=augment))
    assert (found.classes, len(found.train), len(found.val), found.source) == (2, 4, 4, str(folder))
    images, labels = next(iter(found.val_loader()))
    assert images.shape == (4, 3, 224, 224)
    assert labels.tolist() == [0, 0, 1, 1]
    red = (np.array([1, 0, 0]) - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    np.testing.assert_allclose(images.numpy()[3].mean((1, 2)), red, rtol=1e-3)
    assert next(iter(found.train_loader()))[0].shape == (4, 3, 224, 224)


def test_the_network_has_as_many_outputs_as_the_data_have_classes(folder):
    model = Pipeline.of(replace(recipe_for("resnet18"), data=str(folder))).model()
    assert model.fc.out_features == 2
    assert digits().model().fc3.out_features == 10


def test_a_network_of_ten_fixed_classes_takes_no_others(pictures, monkeypatch):
    found = Pipeline.of(replace(recipe_for("lenet5"), data="mnist-subset"))
    found.classes = 7
    with pytest.raises(ArgumentError, match="lenet5 is made for 10 classes, mnist-subset has 7: choose another network"):
        found.model()
    assert isinstance(digits().model(), models.SmallLeNet5)


def test_a_directory_without_its_halves_is_explained(tmp_path):
    settings = replace(recipe_for("resnet18"), data=str(tmp_path))
    with pytest.raises(DataError, match=r"has no train: put the images into .*/train/CLASS/ and .*/val/CLASS/"):
        Pipeline.of(settings)


def test_halves_with_different_classes_are_refused(folder):
    (folder / "val" / "red").rename(folder / "val" / "green")
    with pytest.raises(DataError, match=r"train has the classes \['blue', 'red'\], val has \['blue', 'green'\]"):
        Pipeline.of(replace(recipe_for("resnet18"), data=str(folder)))


def test_a_network_of_digits_takes_no_directory(folder):
    with pytest.raises(ArgumentError, match="lenet takes grey images, a directory of pictures has colours"):
        Pipeline.of(replace(recipe_for("lenet"), data=str(folder)))


def test_an_unknown_normalization_gets_the_nearest():
    with pytest.raises(ArgumentError, match=r"there is no normalization 'lecun89': did you mean 'lecun98'?"):
        digits(normalization="lecun89")


def test_a_limit_takes_images_evenly():
    """The directory's are sorted by class; the first two would both be blue."""
    found = digits(limit=7)
    assert (len(found.train), len(found.val)) == (7, 7)
    assert found.val.indices == [0, 142, 285, 428, 571, 714, 857]
    assert (len(digits(limit=2000).train), len(digits(limit=2000).val)) == (2000, 1000)


def test_the_classes_of_a_directory_have_names_and_those_of_digits_numbers(folder):
    found = Pipeline.of(replace(recipe_for("resnet18"), data=str(folder), limit=2))
    assert (found.names, [found.train[i][1] for i in range(2)]) == (["blue", "red"], [0, 1])
    assert digits().names is None
