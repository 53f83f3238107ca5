"""A recipe for each network of the registry: how it is trained unless somebody says otherwise.

The recipes of CIFAR's and ImageNet's networks are those of the papers, their schedules as parts of the whole training, so
that a training of fewer epochs has them all. Those of the digit networks are today's: a few epochs in one cycle.

A training that is more than `fit`, with steps or passes of its own, is a function with the arguments of `fit`: put it into
`LOOPS` under a name, and let the recipe name it as its ``loop``.
"""

from collections.abc import Callable
from dataclasses import replace

from .. import models
from .fit import fit
from .history import History
from .settings import Settings

LOOPS: dict[str, Callable[..., History]] = {"fit": fit}
"""The training loops that a recipe can name; each takes what `fit` takes, and gives a history."""


def _sgd(weight_decay: float, momentum: float = 0.9) -> dict[str, float]:
    return {"momentum": momentum, "weight_decay": weight_decay}


_DIGITS = Settings(
    "", "mnist", epochs=6, batch_size=64, lr=0.04, optimizer_options=_sgd(5e-4), schedule="onecycle", threads=1
)

# He et al. 2015, section 4.2: 64,000 updates of 128 images, the rate a tenth at 32,000 and 48,000.
_CIFAR = Settings(
    "", "cifar10", epochs=164, batch_size=128, lr=0.1, optimizer_options=_sgd(1e-4), schedule="step", augment=True
)

# Krizhevsky et al. 2012, section 5: the rate a tenth whenever the validation error stalls.
_IMAGENET = Settings(
    "", "imagenet", epochs=90, batch_size=128, lr=0.01, optimizer_options=_sgd(5e-4), schedule="plateau", augment=True
)

_VGG = replace(_IMAGENET, epochs=74, batch_size=256)
_GOOGLENET = replace(_IMAGENET, optimizer_options=_sgd(2e-4), schedule="exponential")
_RESNET = replace(_IMAGENET, epochs=120, batch_size=256, lr=0.1, optimizer_options=_sgd(1e-4))

_FAMILIES = {"vgg": _VGG, "googlenet": _GOOGLENET, "resnet": _RESNET, "plain": _RESNET}
_OF_DATA = {"MNIST": _DIGITS, "CIFAR-10": _CIFAR, "ImageNet": _IMAGENET}

_SPECIAL = {
    # The network of 1998 with its own criterion; not with its own step rule, which is an example of its own.
    "lenet5": replace(
        _DIGITS, epochs=10, batch_size=16, lr=0.02, optimizer_options={"momentum": 0.9}, loss="rbf_map", predict="argmin",
        normalization="lecun98", clip_norm=10.0,
    ),
    "lenet": replace(_DIGITS, epochs=3),  # as `tinygrad-cnn demo`
    # Zhou 2019: plain descent on batches of one; here of 8, which needs a larger rate.
    "digit_net": replace(_DIGITS, epochs=3, batch_size=8, lr=0.02, optimizer_options={}, schedule="constant"),
    # Caffe's solver: 4,000 updates of 100 images, then 1,000 at a tenth of the rate.
    "cifar10_quick": replace(
        _CIFAR, epochs=10, batch_size=100, lr=0.001, optimizer_options=_sgd(4e-3), schedule_options={"milestones": (0.8,)},
        augment=False,
    ),
    "zfnet": replace(_IMAGENET, epochs=70),
    # He et al. 2015, section 4.2: a tenth of the rate for the first 400 updates.
    **{name: replace(_CIFAR, schedule_options={"warm_up": 400}) for name in ("resnet110", "resnet1202", "plain110")},
}  # fmt: skip


def recipe_for(name: str) -> Settings:
    """The recipe of a network.

    Raises
    ------
    ArgumentError
        For a name that is not in the registry; says which are nearest.

    Examples
    --------
    >>> recipe = recipe_for("resnet20")
    >>> recipe.data, recipe.epochs, recipe.schedule
    ('cifar10', 164, 'step')
    """
    entry = models.get_entry(name)
    recipe = _SPECIAL.get(entry.name)
    if recipe is None and entry.data == "ImageNet":
        recipe = next((one for family, one in _FAMILIES.items() if entry.name.startswith(family)), None)
    return replace(recipe or _OF_DATA[entry.data], model=entry.name)
