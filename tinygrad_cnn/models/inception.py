"""What the paper's GoogLeNet and torchvision's share: the table of the modules, and the way through them."""

from collections.abc import Callable
from typing import NamedTuple

from .. import nn
from ..ops import cat
from ..tensor import Tensor

# Table 1 of the paper: maps that come in, and that the 1x1, the reduction and the 3x3, the reduction and the 5x5, and the
# 1x1 behind the pooling make.
MODULES = {
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}


class GoogLeNetOutputs(NamedTuple):
    """What a GoogLeNet with auxiliary heads returns in training; the names and their order are torchvision's.

    Attributes
    ----------
    logits : Tensor, shape (n, num_classes)
    aux_logits2 : Tensor, shape (n, num_classes), or None
        The scores of the head on module 4d.
    aux_logits1 : Tensor, shape (n, num_classes), or None
        The scores of the head on module 4a.
    """

    logits: Tensor
    aux_logits2: Tensor | None
    aux_logits1: Tensor | None


class Branches(nn.Module):
    """Modules side by side on the same input, their maps stacked in the order of the branches."""

    def forward(self, input: Tensor) -> Tensor:
        """``(n, c, h, w)`` to ``(n, maps of all branches, h, w)``."""
        return cat([branch(input) for branch in self.children()], dim=1)


class InceptionTower(nn.Module):
    """The nine Inception modules, the poolings between them, the classifier, and the heads on 4a and 4d.

    A subclass adds its first layers, the modules, the heads (or None) and the classifier, in this order, and gives the
    output of its first layers to `_classify`.
    """

    aux1: nn.Module | None
    aux2: nn.Module | None

    def _add_modules(self, inception: Callable[..., nn.Module], maxpool4: nn.Module) -> None:
        for name, maps in MODULES.items():
            self.add_module(f"inception{name}", inception(*maps))
            if name == "3b":
                self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
            elif name == "4e":
                self.maxpool4 = maxpool4

    def _add_classifier(self, num_classes: int, dropout: float) -> None:
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(1024, num_classes)

    def _classify(self, x: Tensor) -> Tensor | GoogLeNetOutputs:
        """``(n, 192, h, w)`` to scores ``(n, num_classes)``; in training with heads, theirs too."""
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        x = self.inception4a(x)
        aux1 = self.aux1(x) if self.training and self.aux1 is not None else None
        x = self.inception4d(self.inception4c(self.inception4b(x)))
        aux2 = self.aux2(x) if self.training and self.aux2 is not None else None
        x = self.maxpool4(self.inception4e(x))
        x = self.inception5b(self.inception5a(x))
        scores: Tensor = self.fc(self.dropout(self.avgpool(x).flatten(1)))
        return scores if aux1 is None and aux2 is None else GoogLeNetOutputs(scores, aux2, aux1)
