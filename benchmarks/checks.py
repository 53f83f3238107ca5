"""Do two sides compute the same network? The same parameters, the same loss, the same gradients from the same numbers.

``python -m benchmarks check --against torch``. Each side fills its network with the same values (`values`), in float64 and
without dropout, and writes its loss and its gradients; what differs by more than rounding is reported.
"""

import tempfile
from pathlib import Path

import numpy as np

from .process import WorkerProcess
from .values import Array

TOLERANCE = 1e-6
"""Of the loss, and of the largest number in each gradient. All is computed in float64."""


def compare(ours: WorkerProcess, theirs: WorkerProcess, workload: str) -> list[str]:
    """What differs, in words; nothing if the sides agree.

    Raises
    ------
    LookupError
        If a side cannot run the workload, or it has nothing to compare; the message says which and why.
    """
    with tempfile.TemporaryDirectory() as directory:
        results = []
        for worker in (ours, theirs):
            file = str(Path(directory) / f"{worker.side.framework}.npz")
            answer = worker.ask("check", workload=workload, file=file)
            if "unsupported" in answer:
                raise LookupError(f"{worker.side.spelling}: {answer['unsupported']}")
            with np.load(file) as saved:
                results.append([saved[key] for key in saved.files])
    return differences(*results)


def differences(ours: list[Array], theirs: list[Array]) -> list[str]:
    """What differs between two lists of a loss and gradients.

    Examples
    --------
    >>> import numpy as np
    >>> differences([np.float64(2.0), np.ones(3)], [np.float64(2.0), np.array([1.0, 1.0, 1.5])])
    ['gradient 0 of shape (3,): differs by 3.3e-01 of its largest number']
    """
    shapes, their_shapes = [a.shape for a in ours], [a.shape for a in theirs]
    if shapes != their_shapes:
        return [f"parameters have shapes {shapes[1:]} and {their_shapes[1:]}"]
    found = []
    loss, gradients = float(ours[0]), ours[1:]
    their_loss, their_gradients = float(theirs[0]), theirs[1:]
    if not abs(loss - their_loss) <= TOLERANCE * max(1.0, abs(their_loss)):
        found.append(f"the loss is {loss:.6g} and {their_loss:.6g}")
    # A gradient that is zero but for rounding is measured by the others.
    largest = max(float(np.abs(gradient).max()) for gradient in their_gradients)
    for i, (mine, their) in enumerate(zip(gradients, their_gradients, strict=True)):
        apart = float(np.abs(mine - their).max()) / max(float(np.abs(their).max()), largest * 1e-6)
        if not apart <= TOLERANCE:
            found.append(f"gradient {i} of shape {their.shape}: differs by {apart:.1e} of its largest number")
    return found
