"""The random generators of a training as one part of its checkpoint."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import random
from ..errors import CheckpointError
from ..nn import Module


class GeneratorStates:
    """Where the random draws stand: of the package's generator, and of those that modules have as attributes.

    Parameters
    ----------
    model : Module, optional
        Whose modules are searched for generators of their own.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> states = GeneratorStates()
    >>> saved = states.state_dict()
    >>> first = tg.rand(3)
    >>> states.load_state_dict(saved)
    >>> bool((tg.rand(3) == first).all())
    True
    """

    def __init__(self, model: Module | None = None) -> None:
        self._model = model

    def state_dict(self) -> dict[str, Any]:
        """The state of each generator, by the path of the module's attribute."""
        of_modules = {path: generator.bit_generator.state for path, generator in self._of_modules().items()}
        return {"package": random.get_rng_state(), "modules": of_modules}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Put every generator back to where it was.

        Raises
        ------
        CheckpointError
            If the modules have other generators than those that were saved.
        """
        own, saved = self._of_modules(), state_dict["modules"]
        if set(own) != set(saved):
            raise CheckpointError(f"the model's modules have generators at {sorted(own)}, those saved are at {sorted(saved)}")
        random.set_rng_state(state_dict["package"])
        for path, generator in own.items():
            generator.bit_generator.state = saved[path]

    def _of_modules(self) -> dict[str, np.random.Generator]:
        modules = self._model.named_modules() if self._model is not None else ()
        return {
            f"{path}.{name}": value
            for path, module in modules
            for name, value in vars(module).items()
            if isinstance(value, np.random.Generator)
        }
