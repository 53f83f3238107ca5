"""Fashion-MNIST and Kuzushiji-MNIST: 70,000 pictures each of MNIST's size and format, and harder to tell apart.

References
----------
H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms",
2017.
T. Clanuwat, M. Bober-Irizar, A. Kitamoto, A. Lamb, K. Yamamoto and D. Ha, "Deep learning for classical Japanese
literature", 2018.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .files import DATA_VARIABLE, DataFile
from .idx import parse_idx
from .pictures import Pictures
from .places import Collection, Route

_SIZES = {
    "train-images-idx3-ubyte": 47_040_016,
    "train-labels-idx1-ubyte": 60_008,
    "t10k-images-idx3-ubyte": 7_840_016,
    "t10k-labels-idx1-ubyte": 10_008,
}


class _Relative(Pictures):
    """A data set in four idx files with the names, the sizes and the format of MNIST's."""

    mirrors: ClassVar[tuple[str, ...]]
    _files: ClassVar[tuple[DataFile, ...]]
    _title: ClassVar[str]
    _advice: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        transform: Callable[[npt.NDArray[np.float32]], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
        download: bool = True,
        *,
        mirrors: Sequence[str] | None = None,
    ) -> None:
        super().__init__(train, transform, target_transform)
        name = type(self).__name__
        collection = Collection(
            self._title,
            self._files[:2] if train else self._files[2:],
            Path(name, "raw"),
            self.mirrors if mirrors is None else mirrors,
            before=(
                *self._advice,
                f"put the four idx files into a directory and name it, as root=... (--root) or in {DATA_VARIABLE} "
                f"(there also in its {name}/raw)",
            ),
        )
        self.source, contents = collection.find(root, download, self._places(collection))
        self.images, self.targets = (parse_idx(content, self.source) for content in contents)
        self.targets = self.targets.astype(np.int64)

    def _places(self, collection: Collection) -> list[Route]:
        """Return the places that this data set alone has."""
        return []


class FashionMNIST(_Relative):
    """Articles of clothing: 60,000 training and 10,000 test pictures of 28 x 28 grey pixels in ten classes.

    Looked for in `root`, the directory of the environment variable ``TINYGRAD_CNN_DATA``, Debian's package
    ``dataset-fashion-mnist``, and the cache; downloaded if need be. Checksums are verified.

    Parameters
    ----------
    root : str or path-like, optional
        A directory that has the four idx files, plain or gzipped, in itself or in ``FashionMNIST/raw`` as torchvision
        lays them; a download goes there.
    train : bool, default True
        The training or the test pictures.
    transform, target_transform : callable, optional
        Applied to each image, a float32 array (1, 28, 28) in [0, 1], and to each label.
    download : bool, default True
        Whether the network may be used if no other place has the files.
    mirrors : sequence of str, optional
        Where to download from, in order.

    Raises
    ------
    DataError
        If a file is not the published one, or no place has the files.
    """

    mirrors = (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    )
    classes = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )
    debian = Path("/usr/share/datasets/fashion-mnist")
    """Where Debian's package puts the files."""

    _title = "Fashion-MNIST"
    _advice = ("on Debian: apt install dataset-fashion-mnist",)
    _files = tuple(
        DataFile(name, size, md5=md5)
        for (name, size), md5 in zip(
            _SIZES.items(),
            (
                "f4a8712d7a061bf5bd6d2ca38dc4d50a",
                "9018921c3c673c538a1fc5bad174d6f9",
                "8181f5470baa50b63fa0f6fddb340f0a",
                "15d484375f8d13e6eb1aabb0c3f46965",
            ),
            strict=True,
        )
    )

    def _places(self, collection: Collection) -> list[Route]:
        return [("Debian's package", lambda: collection.from_directory(self.debian))]


class KMNIST(_Relative):
    """Cursive Japanese characters (hiragana): 60,000 training and 10,000 test pictures of 28 x 28 grey pixels, ten classes.

    Parameters and errors as of `FashionMNIST`; the folder is ``KMNIST/raw``. Only the published ``.gz`` files are taken:
    of what they hold no checksum is published.
    """

    mirrors = ("https://codh.rois.ac.jp/kmnist/dataset/kmnist/", "http://codh.rois.ac.jp/kmnist/dataset/kmnist/")
    classes = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")

    _title = "Kuzushiji-MNIST"
    _files = tuple(
        DataFile(name, size, packed_md5=md5)
        for (name, size), md5 in zip(
            _SIZES.items(),
            (
                "bdb82020997e1d708af4cf47b453dcf7",
                "e144d726b3acfaa3e44228e80efcd344",
                "5c965bf0a639b31b8f53240b1b52f4d7",
                "7320c461ea6c1c855c0b718fb2a4b134",
            ),
            strict=True,
        )
    )
