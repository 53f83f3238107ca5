"""Distortions: warping against plain loops, affine maps against closed forms, elastic fields against their definition."""

import math
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import kernels, random
from tinygrad_cnn.data.transforms import ElasticTransform, RandomAffine, RandomRotation, Transform, warp
from tinygrad_cnn.errors import ArgumentError, DTypeError, ShapeError
from tinygrad_cnn.tensor import Tensor

IMAGES = np.random.default_rng(0).random((3, 2, 7, 5))
DISTORTIONS = [
    RandomAffine(20, (0.1, 0.2), (0.8, 1.2), (-10, 10, -5, 5), squeeze=(0.9, 1.1), fill=0.5),
    RandomAffine(20, (0.1, 0.2), interpolation="nearest"),
    RandomRotation(45),
    ElasticTransform(10.0, 2.0),
]


@pytest.fixture(params=["numpy", "numba"])
def each_kernel(request: pytest.FixtureRequest) -> Any:
    if request.param == "numba":
        pytest.importorskip("numba")
    with kernels.use(request.param):
        yield


def pixel(plane: np.ndarray, i: int, j: int, fill: float) -> float:
    inside = 0 <= i < plane.shape[0] and 0 <= j < plane.shape[1]
    return float(plane[i, j]) if inside else fill


def bilinear(plane: np.ndarray, y: float, x: float, fill: float) -> float:
    """The sum over all pixels near (y, x) of the tent function, which is another way to write the interpolation."""
    i, j = math.floor(y), math.floor(x)
    return sum(
        max(0.0, 1 - abs(y - row)) * max(0.0, 1 - abs(x - column)) * pixel(plane, row, column, fill)
        for row in (i, i + 1)
        for column in (j, j + 1)
    )


# Warping --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_warp_is_the_sum_of_tents(each_kernel: None, dtype: type) -> None:
    rng = np.random.default_rng(1)
    y = rng.uniform(-4, 11, (3, 4, 6)).astype(dtype)
    x = rng.uniform(-4, 9, (3, 4, 6)).astype(dtype)
    fill = (0.25, -1.5)
    expected = [
        [[[bilinear(plane, yy, xx, f) for yy, xx in zip(*rows, strict=True)] for rows in zip(ys, xs, strict=True)]
         for plane, f in zip(image, fill, strict=True)]
        for image, ys, xs in zip(IMAGES, y, x, strict=True)
    ]
    result = warp(IMAGES.astype(dtype), y, x, fill)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 if dtype is np.float32 else 1e-13)


@pytest.mark.parametrize(
    ("y", "x", "expected"),
    [(0.0, 0.0, 1.0), (-0.5, 0.0, 5.0), (0.4, 0.4, 1.0), (0.5, 0.0, 3.0), (1.4, 1.4, 4.0), (1.5, 0.0, 9.0), (-99.0, 0.0, 9.0)],
)
def test_nearest(each_kernel: None, y: float, x: float, expected: float) -> None:
    image = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    image[0, 0, 0, 0] = expected if y == -0.5 else 1.0  # -0.5 is as near to the first pixel as to the frame
    result = warp(image, np.array([[[y]]]), np.array([[[x]]]), 9.0, "nearest")
    assert result.item() == expected


def test_far_coordinates_read_the_fill(each_kernel: None) -> None:
    far = np.array([[[-1e9, -1.0, 2.0, 1e9]]])
    assert warp(np.ones((1, 1, 2, 2)), far, np.zeros_like(far), 7.0).tolist() == [[[[7.0] * 4]]]


@pytest.mark.parametrize("transform", DISTORTIONS, ids=repr)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_numba_and_numpy_give_equal_bits(transform: Transform, dtype: type) -> None:
    pytest.importorskip("numba")
    images = np.random.default_rng(0).random((5, 2, 28, 20)).astype(dtype)
    results = []
    for choice in ("numpy", "numba", "auto"):
        with kernels.use(choice):
            results.append(transform(images, np.random.default_rng(7)))
    assert results[0].dtype == dtype
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


# What holds for each distortion ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("transform", DISTORTIONS, ids=repr)
def test_a_batch_is_its_images_one_by_one(transform: Transform) -> None:
    generator = np.random.default_rng(3)
    one_by_one = [transform(image, generator) for image in IMAGES]
    before = IMAGES.copy()
    batch = transform(IMAGES, np.random.default_rng(3))
    np.testing.assert_array_equal(batch, one_by_one)
    np.testing.assert_array_equal(IMAGES, before)
    assert not np.array_equal(batch, IMAGES)
    tensor = transform(Tensor(IMAGES), np.random.default_rng(3))
    assert isinstance(tensor, Tensor)
    np.testing.assert_array_equal(tensor.array, batch)


@pytest.mark.parametrize("transform", DISTORTIONS, ids=repr)
def test_each_image_has_its_own_draw_from_the_packages_generator(transform: Transform) -> None:
    twins = np.broadcast_to(IMAGES[:1], (2, *IMAGES.shape[1:]))
    with random.drawing_from(np.random.default_rng(3)):
        first, second = transform(twins)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(transform(twins, np.random.default_rng(3)), [first, second])


@pytest.mark.parametrize("transform", DISTORTIONS, ids=repr)
def test_whole_numbers_are_refused(transform: Transform) -> None:
    with pytest.raises(DTypeError, match=r"blends pixels, so it needs float images, got uint8: put ToFloat\(\) before it"):
        transform(np.zeros((1, 4, 4), np.uint8))


def test_planes_without_channels_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"RandomAffine needs an image .* got the shape \(4, 4\): add the axis"):
        RandomAffine(0)(np.zeros((4, 4)))


def test_no_images() -> None:
    assert RandomAffine(10)(np.zeros((0, 1, 4, 4))).shape == (0, 1, 4, 4)
    assert ElasticTransform()(np.zeros((0, 1, 4, 4))).shape == (0, 1, 4, 4)


def test_fill_for_each_channel() -> None:
    away = RandomAffine(0, scale=(1e-6, 1e-6), fill=(1.0, 2.0))
    corner = away(np.zeros((1, 2, 4, 4)))[0, :, 0, 0]
    assert corner.tolist() == [1.0, 2.0]
    with pytest.raises(ShapeError, match=r"fill must be one number or 2, one for each channel, got \(1, 2, 3\)"):
        RandomAffine(0, fill=(1, 2, 3))(np.zeros((1, 2, 4, 4)))


# Affine ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_identity_is_exact(dtype: type) -> None:
    images = IMAGES.astype(dtype)
    np.testing.assert_array_equal(RandomAffine(0)(images), images, strict=True)


class Fixed:
    """A generator whose uniform numbers are given."""

    def __init__(self, *numbers: float) -> None:
        self.numbers = np.array([numbers])

    def random(self, size: tuple[int, ...]) -> np.ndarray:
        assert size == self.numbers.shape
        return self.numbers


def test_whole_translation_is_slicing() -> None:
    image = np.random.default_rng(0).random((1, 8, 10))
    # Of (-0.2 * 10, 0.2 * 10) pixels to the right the 0.75: +1; of (-0.25 * 8, 0.25 * 8) down the 0: -2.
    moved = RandomAffine(0, translate=(0.2, 0.25), fill=9.0)(image, Fixed(0.5, 0.75, 0.0, 0.5, 0.5, 0.5, 0.5))  # type: ignore[arg-type]
    expected = np.full_like(image, 9.0)
    expected[:, :-2, 1:] = image[:, 2:, :-1]
    np.testing.assert_array_equal(moved, expected)


@pytest.mark.parametrize("turns", [-1, 1, 2, 3])
def test_right_angles(turns: int) -> None:
    image = IMAGES[0, :, :5, :5]
    counter_clockwise = np.rot90(image, turns, axes=(1, 2))
    np.testing.assert_allclose(RandomRotation((90 * turns, 90 * turns))(image), counter_clockwise, atol=1e-13)
    np.testing.assert_allclose(RandomAffine((-90 * turns, -90 * turns))(image), counter_clockwise, atol=1e-13)


def test_rotation_about_a_corner_of_pixels() -> None:
    image = np.arange(16.0).reshape(1, 4, 4)
    turned = RandomRotation((90, 90), center=(1, 1))(image)  # the upper left 2 x 2 pixels turn in place
    np.testing.assert_allclose(turned[0, :2, :2], [[1, 5], [0, 4]], atol=1e-12)
    np.testing.assert_allclose(turned[0, 2:, 2:], 0, atol=1e-12)


def test_scale_doubles() -> None:
    image = np.zeros((1, 5, 5))
    image[0, 2, 3] = 1.0  # one pixel right of the middle
    larger = RandomAffine(0, scale=(2, 2))(image)
    np.testing.assert_allclose(larger[0, 2], [0, 0, 0, 0.5, 1.0])


def test_every_part_of_the_map_by_a_picture_that_is_a_plane() -> None:
    # An image that is linear in x and y stays so, and its new slope says what the map was.
    size = 41
    middle = (size - 1) / 2
    dy, dx = np.mgrid[:size, :size] - middle
    transform = RandomAffine((30, 30), (0.05, 0.1), (0.8, 0.8), (20, 20, 10, 10), squeeze=(1.25, 1.25))
    numbers = (0.1, 0.9, 0.2, 0.3, 0.4, 0.5, 0.6)
    warped = transform(np.stack([dx, dy]), Fixed(*numbers))  # type: ignore[arg-type]

    a, u, v = np.radians(30), math.tan(np.radians(20)), math.tan(np.radians(10))
    turn = np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    matrix = turn @ np.diag([0.8 * 1.25, 0.8 / 1.25]) @ np.array([[1, 0], [-v, 1]]) @ np.array([[1, -u], [0, 1]])
    shift = np.array([0.05 * size * (2 * 0.9 - 1), 0.1 * size * (2 * 0.2 - 1)])
    for offset in ((0, 0), (3, 1), (-4, 5), (6, -2)):
        target = np.rint(matrix @ offset + shift)  # a pixel of the result; where does it come from?
        source = np.linalg.solve(matrix, target - shift)
        column, row = (target + middle).astype(int)
        np.testing.assert_allclose(warped[:, row, column], source, atol=1e-12)


def test_draws_fill_their_ranges() -> None:
    transform = RandomAffine((10, 20), scale=(0.5, 2), squeeze=(0.5, 2))
    matrices, shift = transform._draw((4000, 1, 8, 8), np.random.default_rng(0))
    # The lengths of the columns are scale * squeeze and scale / squeeze.
    lengths = np.linalg.norm(matrices, axis=1)
    scale, squeeze = np.sqrt(lengths.prod(1)), np.sqrt(lengths[:, 0] / lengths[:, 1])
    angle = np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    for drawn, low, high in ((scale, 0.5, 2), (squeeze, 0.5, 2), (angle, 10, 20)):
        assert low <= drawn.min() < low * 1.01
        assert high * 0.99 < drawn.max() <= high
    assert abs(np.median(np.log(squeeze))) < 0.05  # as often narrower as wider
    assert not shift.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"degrees": -1}, r"degrees must be 0 or more, or a pair \(smallest, largest\), got -1"),
        ({"degrees": (2, 1)}, r"degrees must be a pair \(smallest, largest\), got \(2, 1\)"),
        ({"degrees": 0, "translate": (0.1, 1.2)}, "translate must be two fractions .* between 0 and 1, got"),
        ({"degrees": 0, "translate": (0.1,)}, "translate must be two fractions"),
        ({"degrees": 0, "scale": (0, 1)}, r"scale must be a pair \(smallest, largest\), both greater than 0, got \(0, 1\)"),
        ({"degrees": 0, "squeeze": (-1, 1)}, "squeeze must be a pair .* both greater than 0"),
        ({"degrees": 0, "shear": (1, 2, 3)}, "shear must be a pair"),
        ({"degrees": 0, "shear": (1, 2, 4, 3)}, r"shear\[2:\] must be a pair"),
        ({"degrees": 0, "interpolation": "cubic"}, "interpolation must be 'bilinear' or 'nearest', got 'cubic'"),
        ({"degrees": 0, "center": (1, 2, 3)}, r"center must be a point \(x, y\) in pixels, got \(1, 2, 3\)"),
    ],
)
def test_affine_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        RandomAffine(**options)


# Elastic --------------------------------------------------------------------------------------------------------------


def smoothed(noise: np.ndarray, sigma: float) -> np.ndarray:
    """The noise convolved with a Gaussian, by its definition: a sum over all pairs of pixels."""
    h, w = noise.shape
    i, j = np.mgrid[:h, :w]
    result = np.empty_like(noise)
    for row in range(h):
        for column in range(w):
            squared = (i - row) ** 2 + (j - column) ** 2
            result[row, column] = (np.exp(-squared / (2 * sigma**2)) / (2 * math.pi * sigma**2) * noise).sum()
    return result


def test_displacement_is_smoothed_noise() -> None:
    alpha, sigma, size = 6.0, 1.5, 12
    ramp = np.stack(np.mgrid[:size, :size]).astype(float)  # what a pixel reads is where it reads
    noise = np.random.default_rng(5).random((1, 2, size, size))[0] * 2 - 1
    distorted = ElasticTransform(alpha, sigma)(ramp, np.random.default_rng(5))
    inside = (slice(None), slice(3, -3), slice(3, -3))  # no pixel there reads the fill
    expected = ramp + alpha * np.stack([smoothed(noise[1], sigma), smoothed(noise[0], sigma)])
    # The kernel here is a Gaussian density; over whole pixels it adds up to 1 to within 1e-8 for this sigma.
    np.testing.assert_allclose(distorted[inside], expected[inside], atol=1e-6)


def test_displacements_have_the_size_that_the_docstring_says() -> None:
    alpha, sigma, size = 20.0, 2.0, 24
    ramp = np.broadcast_to(np.arange(float(size)), (1, size, size))
    middles = ElasticTransform(alpha, sigma)(np.broadcast_to(ramp, (600, 1, size, size)), np.random.default_rng(0))
    deviation = (middles[:, 0, 8:16, 8:16] - ramp[0, 8:16, 8:16]).std()
    assert deviation == pytest.approx(alpha / (sigma * math.sqrt(12 * math.pi)), rel=0.05)


def test_alpha_and_sigma_for_x_and_y() -> None:
    rows = np.broadcast_to(np.arange(12.0)[:, None], (1, 12, 12))
    moved_in_x = ElasticTransform((5.0, 0.0), (1.0, 2.0))(rows, np.random.default_rng(0))
    np.testing.assert_allclose(moved_in_x[:, :, 4:-4], rows[:, :, 4:-4], atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": -1.0}, "alpha must be 0 or more and sigma greater than 0, got alpha=-1.0 and sigma=5.0"),
        ({"sigma": 0.0}, "alpha must be 0 or more and sigma greater than 0, got alpha=50.0 and sigma=0.0"),
        ({"alpha": (1.0, 2.0, 3.0)}, r"alpha must be a number or a pair \(for x, for y\), got \(1.0, 2.0, 3.0\)"),
        ({"interpolation": "cubic"}, "interpolation must be"),
    ],
)
def test_elastic_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        ElasticTransform(**options)
