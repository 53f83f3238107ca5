"""Networks of the literature, ready to train."""

from .lenet import LeNet, SmallLeNet5

__all__ = ["LeNet", "SmallLeNet5"]
