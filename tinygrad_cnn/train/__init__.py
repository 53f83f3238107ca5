"""Training: the loop, what is measured, what is kept of it, and the page that shows it.

    model = models.LeNet()
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    history = train.fit(model, training_batches, test_batches, epochs=3, optimizer=optimizer)
    result = train.evaluate(model, test_batches)
    print(result.error, result.confusion().table())
"""

from ..errors import TrainingError
from .checkpoint import CheckpointInfo, load_checkpoint, save_checkpoint
from .curves import curves_svg, save_curves
from .environment import environment, extras
from .evaluate import Evaluation, evaluate
from .fit import Epoch, History, fit
from .metrics import Confusion, accuracy, error_rate
from .report import Report, report_html, save_report

__all__ = [
    "CheckpointInfo",
    "Confusion",
    "Epoch",
    "Evaluation",
    "History",
    "Report",
    "TrainingError",
    "accuracy",
    "curves_svg",
    "environment",
    "error_rate",
    "evaluate",
    "extras",
    "fit",
    "load_checkpoint",
    "report_html",
    "save_checkpoint",
    "save_curves",
    "save_report",
]
