"""Every exception that the package raises on purpose.

    TinygradError                   everything below; `except TinygradError` catches all of it
    |-- ShapeError (ValueError)     sizes that do not fit; the message gives the arithmetic
    |-- DTypeError (TypeError)      a dtype that the operation cannot take
    |-- ArgumentError (ValueError)  an option out of its range or unknown
    |-- AutogradError (RuntimeError)
    |   |-- GraphFreedError         a second backward through a graph that the first one freed
    |   |-- InplaceError            a value that the graph needs was, or would be, changed in place
    |   |-- GradcheckError          an analytical gradient that disagrees with the numerical one
    |   `-- AnomalyError            a NaN (or an infinity) that `detect_anomaly` found
    |-- DataError (RuntimeError)    a data file that is missing, truncated or not what it should be
    |-- CheckpointError (RuntimeError)  a checkpoint that is truncated, foreign or of another model
    |-- TrainingError (ArithmeticError)  training cannot go on: the loss is not finite
    `-- MissingExtraError (ImportError)  an optional dependency is not installed; names the extra

Each also derives from the built-in that a user of NumPy or PyTorch would expect, so `except ValueError` and
`except RuntimeError` keep working.
"""


class TinygradError(Exception):
    """Base of every exception that the package raises on purpose.

    Attributes
    ----------
    module : str
        Path of the `nn.Module` that was running (``"features.3"``), or ``""``; part of the message.
    """

    module: str = ""

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} (in the module {self.module})" if self.module else message


class ShapeError(TinygradError, ValueError):
    """Sizes do not fit together."""


class DTypeError(TinygradError, TypeError):
    """The operation cannot take this dtype."""


class ArgumentError(TinygradError, ValueError):
    """An option is out of its range or unknown."""


class AutogradError(TinygradError, RuntimeError):
    """The graph cannot do what was asked of it."""


class GraphFreedError(AutogradError):
    """A second backward went through a graph that the first one had freed."""


class InplaceError(AutogradError):
    """A value that the graph needs was, or would be, changed in place."""


class GradcheckError(AutogradError):
    """An analytical gradient disagrees with the numerical one."""


class AnomalyError(AutogradError):
    """An op made a NaN, or an infinity, inside `detect_anomaly`."""


class DataError(TinygradError, RuntimeError):
    """A data file is missing, truncated or not what it should be."""


class CheckpointError(TinygradError, RuntimeError):
    """A checkpoint is truncated, foreign, or belongs to another model."""


class TrainingError(TinygradError, ArithmeticError):
    """Training cannot go on: the loss is not a finite number."""


class MissingExtraError(TinygradError, ImportError):
    """An optional dependency is not installed.

    Parameters
    ----------
    what : str
        What the user asked for, as a noun: ``"drawing loss curves"``.
    extra : str
        The extra of this package that brings it.
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f'{what} needs the extra "{extra}": pip install "tinygrad_cnn[{extra}]"')
