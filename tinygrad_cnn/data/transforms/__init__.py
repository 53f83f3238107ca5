"""Transforms of images, one by one or a whole batch at once: torchvision's names, on arrays of shape (..., c, h, w)."""

from .affine import RandomAffine, RandomRotation
from .base import Transform
from .colour import ColorJitter, Grayscale, PCAColorNoise
from .compose import Compose, Lambda, RandomApply, RandomChoice
from .convert import Normalize, ToArray, ToFloat
from .crop import CenterCrop, FiveCrop, Pad, RandomCrop, TenCrop
from .elastic import ElasticTransform
from .erase import Cutout, RandomErasing
from .flip import RandomHorizontalFlip, RandomVerticalFlip
from .mix import CutMix, MixUp
from .resize import RandomResizedCrop, Resize
from .warp import warp

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "CutMix",
    "Cutout",
    "ElasticTransform",
    "FiveCrop",
    "Grayscale",
    "Lambda",
    "MixUp",
    "Normalize",
    "PCAColorNoise",
    "Pad",
    "RandomAffine",
    "RandomApply",
    "RandomChoice",
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomVerticalFlip",
    "Resize",
    "TenCrop",
    "ToArray",
    "ToFloat",
    "Transform",
    "warp",
]
