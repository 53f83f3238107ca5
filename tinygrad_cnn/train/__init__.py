"""Training: the loop, what is measured, what is kept of it, and the page that shows it.

    model = models.LeNet()
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    history = train.fit(model, training_batches, test_batches, epochs=3, optimizer=optimizer)
    result = train.evaluate(model, test_batches)
    print(result.error, result.confusion().table())

A training that is to survive whatever happens has a folder:

    history = train.fit(..., checkpoint="run", every=100, resume="run")

Run again after a crash, the same line goes on from the last checkpoint and ends as if nothing had happened, bit by bit.
`fit.py` says what there is besides; `training.py` is the loop, `update.py` one step of it.
"""

from ..errors import TrainingError
from .callbacks import Callback
from .checkpoint import CheckpointInfo, load_checkpoint, save_checkpoint
from .curves import curves_svg, save_curves
from .environment import environment, extras
from .evaluate import Evaluation, evaluate
from .fit import fit
from .generators import GeneratorStates
from .history import Epoch, History
from .log import JSONLines, read_log
from .metrics import Confusion, accuracy, error_rate, top_k_accuracy
from .report import Report, report_html, save_report
from .run import Best, EarlyStopping, Run
from .tensorboard import TensorBoard

__all__ = [
    "Best",
    "Callback",
    "CheckpointInfo",
    "Confusion",
    "EarlyStopping",
    "Epoch",
    "Evaluation",
    "GeneratorStates",
    "History",
    "JSONLines",
    "Report",
    "Run",
    "TensorBoard",
    "TrainingError",
    "accuracy",
    "curves_svg",
    "environment",
    "error_rate",
    "evaluate",
    "extras",
    "fit",
    "load_checkpoint",
    "read_log",
    "report_html",
    "save_checkpoint",
    "save_curves",
    "save_report",
    "top_k_accuracy",
]
