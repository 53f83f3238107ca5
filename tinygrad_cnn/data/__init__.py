"""Data: data sets, the loader that makes batches of them, transforms of images, and the small sets of the literature."""

from . import transforms
from .cifar import CIFAR10, CIFAR100
from .collate import default_collate
from .dataloader import DataLoader
from .dataset import ConcatDataset, Dataset, Subset, TensorDataset, random_split
from .digits import Digits
from .folder import ImageFolder, load_image
from .idx import read_idx, write_idx
from .mnist import MNIST, load_mnist, normalize_digits
from .relatives import KMNIST, FashionMNIST
from .sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "KMNIST",
    "MNIST",
    "BatchSampler",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "Digits",
    "FashionMNIST",
    "ImageFolder",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "default_collate",
    "load_image",
    "load_mnist",
    "normalize_digits",
    "random_split",
    "read_idx",
    "transforms",
    "write_idx",
]
