"""What holds for every transform, and the ones that move pixels without making new ones: crops, flips, conversions."""

import itertools
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import random
from tinygrad_cnn.data import DataLoader, TensorDataset
from tinygrad_cnn.data import transforms as T
from tinygrad_cnn.errors import ArgumentError, DTypeError, ShapeError
from tinygrad_cnn.tensor import Tensor

IMAGES = np.random.default_rng(0).random((6, 3, 9, 7))

TRANSFORMS = [
    T.Pad((1, 2, 3, 4), fill=(0.1, 0.2, 0.3)),
    T.CenterCrop((5, 9)),
    T.RandomCrop(5, padding=2),
    T.RandomCrop((11, 4), pad_if_needed=True, padding_mode="edge"),
    T.RandomResizedCrop((4, 6)),
    T.Resize((5, 11)),
    T.Resize(5, interpolation="nearest"),
    T.RandomHorizontalFlip(),
    T.RandomVerticalFlip(),
    T.ColorJitter(0.5, 0.5, 0.5, 0.3),
    T.Grayscale(3),
    T.PCAColorNoise(),
    T.RandomErasing(),
    T.RandomErasing(value=(0.1, 0.2, 0.3)),
    T.Cutout(3, 2),
    T.ToFloat(),
    T.Normalize([0.1, 0.2, 0.3], [1, 2, 3]),
    T.Normalize(IMAGES[0]),
    T.RandomRotation(20),
]
RANDOM = [transform for transform in TRANSFORMS if type(transform).__name__.startswith(("Random", "ColorJ", "PCA", "Cut"))]
COMPOSED = [
    T.Compose([T.RandomHorizontalFlip(), T.RandomCrop(7, padding=1)]),
    T.RandomApply([T.RandomRotation(30)], 0.5),
    T.RandomChoice([T.RandomRotation(30), T.RandomHorizontalFlip(), T.Cutout(3)], [1, 2, 1]),
    T.RandomErasing(value="random"),
]


@pytest.mark.parametrize("transform", TRANSFORMS, ids=repr)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_batch_is_its_images_one_by_one(transform: T.Transform, dtype: type) -> None:
    images = IMAGES.astype(dtype)
    before = images.copy()
    generator = np.random.default_rng(3)
    one_by_one = [transform(image, generator) for image in images]
    batch = transform(images, np.random.default_rng(3))
    np.testing.assert_array_equal(batch, np.stack(one_by_one), strict=True)
    np.testing.assert_array_equal(images, before)
    assert batch.dtype == dtype
    tensor = transform(Tensor(images), np.random.default_rng(3))
    assert isinstance(tensor, Tensor)
    np.testing.assert_array_equal(tensor.array, batch)


CHANGING = [transform for transform in TRANSFORMS + COMPOSED if not isinstance(transform, T.ToFloat)]


@pytest.mark.parametrize("transform", CHANGING, ids=repr)
def test_the_result_is_writable_and_shares_nothing(transform: T.Transform) -> None:
    images = IMAGES.copy()
    transform(images)[...] = 7
    np.testing.assert_array_equal(images, IMAGES)


@pytest.mark.parametrize("transform", RANDOM + COMPOSED, ids=repr)
def test_draws_come_from_the_packages_generator(transform: T.Transform) -> None:
    with random.drawing_from(np.random.default_rng(3)):
        first, second = transform(IMAGES), transform(IMAGES)
    np.testing.assert_array_equal(first, transform(IMAGES, np.random.default_rng(3)))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("transform", RANDOM + COMPOSED, ids=repr)
def test_images_of_a_batch_have_draws_of_their_own(transform: T.Transform) -> None:
    twins = np.broadcast_to(IMAGES[:1], (16, *IMAGES.shape[1:]))
    assert len({image.tobytes() for image in transform(twins, np.random.default_rng(0))}) > 1


@pytest.mark.parametrize("transform", TRANSFORMS + COMPOSED, ids=repr)
def test_no_images(transform: T.Transform) -> None:
    assert len(transform(IMAGES[:0])) == 0


def test_the_loader_gives_the_same_whatever_the_number_of_workers() -> None:
    def epoch(workers: int) -> list[Any]:
        loader = DataLoader(
            TensorDataset(IMAGES), 2, shuffle=True, num_workers=workers, generator=np.random.default_rng(0),
            input_transform=T.Compose([*COMPOSED, T.RandomResizedCrop(5)]),
        )  # fmt: skip
        return [batch[0].tolist() for batch in loader]

    assert epoch(0) == epoch(1) == epoch(3)


# Compose and its kin --------------------------------------------------------------------------------------------------


def test_compose_goes_from_first_to_last() -> None:
    both = T.Compose([lambda image: image + 1, T.Normalize([2.0], [0.5]), T.Lambda(lambda image: image * 3)])
    assert both(np.full((1, 1, 1), 4.0)).item() == 18.0
    assert T.Compose([])(5) == 5


def test_what_takes_batches() -> None:
    flip, function = T.RandomHorizontalFlip(), T.Lambda(abs)
    assert flip.takes_batches
    assert not function.takes_batches
    assert not T.ToArray().takes_batches
    for several in (T.Compose, T.RandomApply, T.RandomChoice):
        assert several([flip, flip]).takes_batches
        assert not several([flip, function]).takes_batches
        assert not several([flip, abs]).takes_batches


def test_functions_of_one_image_inside_apply_and_choice() -> None:
    def invert(image: np.ndarray) -> np.ndarray:
        assert image.ndim == 3
        return 1 - image

    np.testing.assert_array_equal(T.RandomApply([invert], p=1)(IMAGES[0]), 1 - IMAGES[0])
    np.testing.assert_array_equal(T.RandomChoice([invert])(IMAGES[0]), 1 - IMAGES[0])


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_apply_transforms_a_share_p_of_the_images(p: float) -> None:
    images = np.zeros((4000, 1, 1, 1))
    done = T.RandomApply([T.Normalize([-1.0]), T.Normalize([-2.0])], p)(images, np.random.default_rng(0))
    assert set(np.unique(done)) <= {0.0, 3.0}
    assert abs((done == 3).mean() - p) <= 4 * np.sqrt(p * (1 - p) / 4000)


def test_choice_is_by_weight() -> None:
    choice = T.RandomChoice([T.Normalize([-1.0]), T.Normalize([-2.0]), T.Normalize([-3.0])], [1, 0, 3])
    done = choice(np.zeros((4000, 1, 1, 1)), np.random.default_rng(0)).ravel().astype(int)
    counts = np.bincount(done, minlength=4)
    assert counts[2] == 0
    assert abs(counts[1] - 1000) < 4 * np.sqrt(750)


def test_sizes_that_differ_within_a_batch() -> None:
    with pytest.raises(ShapeError, match=r"RandomApply has made images of the shapes \(3, 2, 2\) and \(3, 9, 7\), which"):
        T.RandomApply([T.CenterCrop(2)])(IMAGES, np.random.default_rng(0))
    assert T.RandomApply([T.CenterCrop(2)], p=1)(IMAGES).shape == (6, 3, 2, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: T.RandomApply([], p=1.5), "p is a probability, so it must be between 0 and 1, got 1.5"),
        (lambda: T.RandomChoice([]), "RandomChoice needs a transform or more and, in p, a weight"),
        (lambda: T.RandomChoice([abs], [1, 2]), r"got 1 transforms and p=\[1, 2\]"),
        (lambda: T.RandomChoice([abs], [0]), "not all 0"),
        (lambda: T.Lambda(3), "Lambda needs a function of one image, got int"),
        (lambda: T.Pad(-1), "padding must be 1, 2 or 4 numbers of pixels, each 0 or more, got -1"),
        (lambda: T.Pad((1, 2, 3)), "padding must be 1, 2 or 4 numbers"),
        (lambda: T.Pad(1, padding_mode="wrap"), "padding_mode must be one of 'constant', .*, got 'wrap'"),
        (lambda: T.RandomCrop(3, padding_mode="wrap"), "padding_mode must be one of"),
        (lambda: T.CenterCrop(0), r"size must be a number of pixels or a pair \(height, width\), 1 or more, got 0"),
        (lambda: T.FiveCrop((1, 2, 3)), "size must be a number of pixels or a pair"),
        (lambda: T.Resize(5, max_size=5), "max_size must be greater than size, a single number; got 5 with size=5"),
        (lambda: T.Resize((5, 6), max_size=9), "max_size must be greater than size"),
        (lambda: T.Resize(5, "cubic"), "interpolation must be"),
        (lambda: T.RandomResizedCrop(5, scale=(0, 1)), "scale must be a pair .* both greater than 0"),
        (lambda: T.RandomResizedCrop(5, ratio=(2, 1)), "ratio must be a pair"),
        (lambda: T.RandomErasing(value="white"), "value must be a number, one for each channel, or \"random\", got 'white'"),
        (lambda: T.Cutout(0), "length and n_holes must be 1 or more, got 0 and 1"),
        (lambda: T.RandomHorizontalFlip(-0.1), "p is a probability"),
        (lambda: T.Normalize([0.5], [0.0]), "std must not be 0 anywhere"),
        (lambda: T.Normalize(np.zeros((2, 2))), r"mean must have one number for each channel or the shape .*, got \(2, 2\)"),
    ],
)
def test_options_out_of_range(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()


def test_base_says_what_to_define() -> None:
    with pytest.raises(NotImplementedError, match=r"Transform must define apply\(images, generator\)"):
        T.Transform()(IMAGES)


def test_reprs_tell_the_options() -> None:
    assert repr(T.RandomHorizontalFlip(0.25)) == "RandomHorizontalFlip(p=0.25)"
    assert repr(T.Compose([T.ToFloat()])) == "Compose(transforms=[ToFloat()])"


# Conversions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "largest"), [(np.uint8, 255), (np.uint16, 65535), (np.int32, 2**31 - 1), (bool, 1)]
)
def test_whole_numbers_to_floats(dtype: type, largest: int) -> None:
    image = T.ToFloat()(np.array([[[0, largest]]], dtype))
    assert image.dtype == np.float32
    assert image.tolist() == [[[0.0, 1.0]]]


def test_every_grey_level() -> None:
    levels = T.ToFloat()(np.arange(256, dtype=np.uint8).reshape(1, 1, 256))
    np.testing.assert_array_equal(levels.ravel(), (np.arange(256) / 255).astype(np.float32))


def test_complex_numbers_are_refused() -> None:
    with pytest.raises(DTypeError, match="pixels must be whole numbers or floats, got complex128"):
        T.ToFloat()(np.zeros((1, 2, 2), complex))


def test_array_of_a_picture() -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    array = T.ToArray()(image.fromarray(pixels))
    assert array.flags.c_contiguous
    np.testing.assert_array_equal(array, (pixels / 255).astype(np.float32).transpose(2, 0, 1), strict=True)
    grey = T.ToArray()(image.fromarray(pixels[:, :, 0]))
    np.testing.assert_array_equal(grey, array[:1], strict=True)
    with pytest.raises(ShapeError, match=r"ToArray needs a picture \(h, w\) or \(h, w, c\), got the shape \(2, 2, 2, 2\)"):
        T.ToArray()(np.zeros((2, 2, 2, 2)))


def test_normalize_by_loops() -> None:
    mean, std = [0.1, -2.0, 3.0], [0.5, 2.0, -1.0]
    result = T.Normalize(mean, std)(IMAGES)
    for place in itertools.product(*map(range, IMAGES.shape)):
        assert result[place] == pytest.approx((IMAGES[place] - mean[place[1]]) / std[place[1]], rel=1e-14)


def test_normalize_fitted() -> None:
    by_channel = T.Normalize.fit(IMAGES)(IMAGES)
    np.testing.assert_allclose(by_channel.mean(axis=(0, 2, 3)), 0, atol=1e-14)
    np.testing.assert_allclose(by_channel.std(axis=(0, 2, 3)), 1, rtol=1e-14)
    by_pixel = T.Normalize.fit_pixels(IMAGES)
    np.testing.assert_allclose(by_pixel(IMAGES), IMAGES - sum(IMAGES) / 6, atol=1e-15)
    for fit in (T.Normalize.fit, T.Normalize.fit_pixels):
        with pytest.raises(DTypeError, match=r"Normalize blends pixels, .* got uint8"):
            fit(np.zeros((2, 1, 2, 2), np.uint8))


@pytest.mark.parametrize("mean", [[0.0, 1.0], np.zeros((3, 2, 2))])
def test_normalize_of_other_sizes(mean: Any) -> None:
    with pytest.raises(ShapeError, match=r"Normalize has numbers for the shape .*, but the images have the shape \(3, 9, 7\)"):
        T.Normalize(mean)(IMAGES)


# Flips ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("flip", "axis"), [(T.RandomHorizontalFlip, 2), (T.RandomVerticalFlip, 1)])
def test_flips(flip: Any, axis: int) -> None:
    np.testing.assert_array_equal(flip(1.0)(IMAGES[0]), np.flip(IMAGES[0], axis))
    np.testing.assert_array_equal(flip(0.0)(IMAGES[0]), IMAGES[0])
    many = flip(0.3)(np.broadcast_to(np.arange(4).reshape(1, 1, 2, 2), (4000, 1, 2, 2)), np.random.default_rng(0))
    assert abs((many[:, 0, 0, 0] != 0).mean() - 0.3) < 4 * np.sqrt(0.21 / 4000)


# Crops and frames -----------------------------------------------------------------------------------------------------


def test_padding_of_four_sides() -> None:
    padded = T.Pad((1, 2, 3, 4), fill=9.0)(IMAGES)
    assert padded.shape == (6, 3, 2 + 9 + 4, 1 + 7 + 3)
    np.testing.assert_array_equal(padded[:, :, 2:-4, 1:-3], IMAGES)
    padded[:, :, 2:-4, 1:-3] = 9
    assert (padded == 9).all()
    assert T.Pad((1, 2))(IMAGES).shape == (6, 3, 13, 9)
    assert T.Pad(1)(IMAGES).shape == (6, 3, 11, 9)


@pytest.mark.parametrize(
    ("mode", "row"), [("edge", [1, 1, 1, 2, 3, 3, 3]), ("reflect", [3, 2, 1, 2, 3, 2, 1]), ("symmetric", [2, 1, 1, 2, 3, 3, 2])]
)
def test_padding_modes(mode: str, row: list[int]) -> None:
    assert T.Pad((2, 0), padding_mode=mode)(np.array([[[1, 2, 3]]])).tolist() == [[row]]


@pytest.mark.parametrize(
    ("size", "expected"),
    # Of 4 pixels the middle 3 begin at 0.5, which is rounded to even, as torchvision does.
    [(2, [1, 2]), (3, [0, 1, 2]), (4, [0, 1, 2, 3]), (6, [0, 0, 1, 2, 3, 0]), (7, [0, 0, 1, 2, 3, 0, 0])],
)
def test_center_crop(size: int, expected: list[int]) -> None:
    assert T.CenterCrop((1, size))(np.array([[[0, 1, 2, 3]]])).ravel().tolist() == expected


def test_random_crop_is_a_part_at_every_place() -> None:
    image = np.arange(8 * 7.0).reshape(1, 8, 7)
    crops = T.RandomCrop((5, 6))(np.broadcast_to(image, (400, 1, 8, 7)), np.random.default_rng(0))
    places = {divmod(int(corner), 7) for corner in crops[:, 0, 0, 0]}
    assert places == set(itertools.product(range(4), range(2)))
    for crop in crops[:20]:
        top, left = divmod(int(crop[0, 0, 0]), 7)
        np.testing.assert_array_equal(crop, image[:, top : top + 5, left : left + 6])


def test_alexnet_has_33_by_33_by_2_views() -> None:
    # Krizhevsky et al. 2012, section 4.1, say 2048 = 32 * 32 * 2. But a crop of 224 has 33 places on an axis of 256, as
    # has, in less memory, one of 4 on an axis of 36.
    number = np.arange(36 * 36).reshape(1, 1, 36, 36)
    augment = T.Compose([T.RandomCrop(4), T.RandomHorizontalFlip()])
    crops = augment(np.broadcast_to(number, (40_000, 1, 36, 36)), np.random.default_rng(0))[:, 0]
    assert len({crop.tobytes() for crop in crops}) == 33 * 33 * 2 == 2178


def test_random_crop_of_a_padded_image() -> None:
    crops = T.RandomCrop(32, padding=4)(np.ones((200, 3, 32, 32)), np.random.default_rng(0))
    counts = crops[:, 0].sum(axis=(1, 2))
    assert counts.min() >= 28 * 28
    assert len(set(counts.tolist())) > 5
    assert T.RandomCrop(10, pad_if_needed=True)(IMAGES).shape == (6, 3, 10, 10)


def test_too_small_for_a_crop() -> None:
    for crop in (T.RandomCrop(8), T.FiveCrop(8), T.TenCrop((9, 8))):
        with pytest.raises(ShapeError, match=rf"{type(crop).__name__}: a crop of \d x 8 pixels does not fit into .* 9 x 7"):
            crop(IMAGES)


def test_five_and_ten_crops() -> None:
    h, w = 5, 4
    corners = [IMAGES[:, :, :h, :w], IMAGES[:, :, :h, -w:], IMAGES[:, :, -h:, :w], IMAGES[:, :, -h:, -w:]]
    expected = [*corners, IMAGES[:, :, 2:7, 2:6]]
    for crop, part in zip(T.FiveCrop((h, w))(IMAGES), expected, strict=True):
        np.testing.assert_array_equal(crop, part)
    for vertical, axis in ((False, 3), (True, 2)):
        crops = T.TenCrop((h, w), vertical)(IMAGES)
        mirrored = T.FiveCrop((h, w))(np.flip(IMAGES, axis))
        assert len(crops) == 10
        for crop, part in zip(crops, [*expected, *mirrored], strict=True):
            np.testing.assert_array_equal(crop, part)
    single = T.TenCrop(3)(Tensor(IMAGES[0]))
    assert len(single) == 10
    assert all(isinstance(crop, Tensor) and crop.shape == (3, 3, 3) for crop in single)


# Blots ----------------------------------------------------------------------------------------------------------------


def test_erasing_blots_one_rectangle_of_the_size_drawn() -> None:
    images = np.ones((500, 2, 20, 30))
    erased = T.RandomErasing(p=0.4, scale=(0.1, 0.2), ratio=(0.5, 2.0))(images, np.random.default_rng(0))[:, 0] == 0
    hit = erased.any(axis=(1, 2))
    assert abs(hit.mean() - 0.4) < 4 * np.sqrt(0.24 / 500)
    rows, columns = erased.any(axis=2).sum(axis=1)[hit], erased.any(axis=1).sum(axis=1)[hit]
    np.testing.assert_array_equal(erased.sum(axis=(1, 2))[hit], rows * columns)  # it is a rectangle
    share, ratio = rows * columns / 600, rows / columns
    assert 0.09 < share.min() < 0.11 < 0.19 < share.max() < 0.22
    assert 0.4 < ratio.min() < 0.6 < 1.6 < ratio.max() < 2.3


def test_erasing_ratio_is_height_by_width() -> None:
    erased = T.RandomErasing(1.0, (0.1, 0.1), (4, 4))(np.ones((50, 1, 40, 40)), np.random.default_rng(0)) == 0
    rows, columns = erased.any(axis=3).sum(axis=(1, 2)), erased.any(axis=2).sum(axis=(1, 2))
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == {(25, 6)}  # sqrt(160 * 4), sqrt(160 / 4)


def test_erasing_with_noise() -> None:
    image = np.full((1, 1, 60, 60), 9.0)
    erased = T.RandomErasing(1.0, (0.3, 0.3), (1, 1), "random")(image, np.random.default_rng(0))
    noise = erased[erased != 9]
    assert abs(len(noise) - 0.3 * 3600) < 80
    assert abs(noise.mean()) < 0.15
    assert abs(noise.std() - 1) < 0.1


def test_a_rectangle_that_never_fits_leaves_the_image() -> None:
    np.testing.assert_array_equal(T.RandomErasing(1.0, (1.0, 1.0), (9, 9))(IMAGES), IMAGES)


def test_cutout_by_loops() -> None:
    length, (h, w) = 3, IMAGES.shape[2:]
    cut = T.Cutout(length, fill=-1.0)(IMAGES, np.random.default_rng(8))
    middles = np.floor(np.random.default_rng(8).random((6, 1, 2)) * (h, w)).astype(int)[:, 0]
    for image, result, (i, j) in zip(IMAGES, cut, middles, strict=True):
        for row, column in itertools.product(range(h), range(w)):
            inside = abs(row - i) <= 1 and abs(column - j) <= 1
            np.testing.assert_array_equal(result[:, row, column], -1 if inside else image[:, row, column])
    middle_of_16 = T.Cutout(16)(np.ones((300, 1, 32, 32)), np.random.default_rng(0)) == 0
    areas = middle_of_16.sum(axis=(1, 2, 3))
    assert areas.max() == 256
    assert areas.min() >= 64


# Resizing -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "options", "expected"),
    [
        ((480, 640), {"size": 256}, (256, 341)),
        ((640, 480), {"size": 256}, (341, 256)),
        ((480, 640), {"size": 256, "max_size": 300}, (225, 300)),
        ((480, 640), {"size": (10, 20)}, (10, 20)),
        ((8, 8), {"size": 16}, (16, 16)),
    ],
)
def test_sizes(shape: tuple[int, int], options: dict[str, Any], expected: tuple[int, int]) -> None:
    assert T.Resize(**options)(np.zeros((1, *shape))).shape == (1, *expected)


def test_halving_is_a_tent_of_four_pixels() -> None:
    row = np.array([[[0.0, 8.0, 16.0, 40.0, 0.0, 0.0]]])
    # Antialiased by 2: weights 1/8, 3/8, 3/8, 1/8 around each middle, normalized where they leave the image.
    expected = [(3 * 0 + 3 * 8 + 16) / 7, (8 + 3 * 16 + 3 * 40 + 0) / 8, (40 + 3 * 0 + 3 * 0) / 7]
    np.testing.assert_allclose(T.Resize((1, 3))(row).ravel(), expected)
    np.testing.assert_allclose(T.Resize((1, 3), antialias=False)(row).ravel(), [4, 28, 0])
    assert T.Resize((1, 3), "nearest")(row).ravel().tolist() == [0, 16, 0]


def test_random_resized_crop_of_the_whole_is_resize() -> None:
    square = IMAGES[:, :, :7]
    whole = T.RandomResizedCrop(5, scale=(1, 1), ratio=(1, 1))(square)
    np.testing.assert_array_equal(whole, T.Resize((5, 5))(square))


def test_random_resized_crop_of_a_part() -> None:
    # An image that is linear in x and y: the crop's corners tell which part it was.
    h, w, size = 40, 60, 2
    ramps = np.stack(np.mgrid[:h, :w]).astype(float)
    crops = T.RandomResizedCrop(size, (0.2, 0.6), (0.5, 2.0), antialias=False)(
        np.broadcast_to(ramps, (400, 2, h, w)), np.random.default_rng(0)
    )
    # Of the two pixels the first reads a quarter into the part, the second three quarters: half the part apart.
    height, width = (crops[:, 0, 1, 0] - crops[:, 0, 0, 0]) * 2, (crops[:, 1, 0, 1] - crops[:, 1, 0, 0]) * 2
    share, ratio = height * width / (h * w), width / height
    assert 0.19 < share.min() < 0.22 < 0.55 < share.max() < 0.62
    assert 0.48 < ratio.min() < 0.6 < 1.7 < ratio.max() < 2.1
    top = crops[:, 0, 0, 0] + 0.5 - height / 4
    np.testing.assert_allclose(top, np.rint(top), atol=1e-9)
    assert top.min() >= 0
    assert (top + height).max() <= h


@pytest.mark.parametrize(
    ("shape", "part"), [((10, 40), (slice(None), slice(13, 27))), ((40, 10), (slice(13, 27), slice(None)))]
)
def test_random_resized_crop_takes_the_middle_where_nothing_fits(shape: tuple[int, int], part: Any) -> None:
    image = np.random.default_rng(0).random((1, *shape))
    # All of the area with a ratio of about 1 fits into no oblong image; the largest allowed is 10 x 14 or 14 x 10.
    crop = T.RandomResizedCrop(4, (1, 1), (1 / 1.4, 1.4))(image)
    np.testing.assert_array_equal(crop, T.Resize((4, 4))(image[:, *part]))
