"""Data: data sets, the loader that makes batches of them, and MNIST."""

from .dataloader import DataLoader, default_collate
from .dataset import Dataset, Subset, TensorDataset, random_split
from .idx import read_idx, write_idx
from .mnist import MNIST, load_mnist, normalize_digits

__all__ = [
    "MNIST",
    "DataLoader",
    "Dataset",
    "Subset",
    "TensorDataset",
    "default_collate",
    "load_mnist",
    "normalize_digits",
    "random_split",
    "read_idx",
    "write_idx",
]
