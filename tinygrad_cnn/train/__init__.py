"""Training: the loop, what is measured, what is kept of it, and the page that shows it.

    model = models.LeNet()
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    history = train.fit(model, training_batches, test_batches, epochs=3, optimizer=optimizer)
    result = train.evaluate(model, test_batches)
    print(result.error, result.confusion().table())
"""

from .metrics import Confusion, accuracy, error_rate

__all__ = ["Confusion", "accuracy", "error_rate"]
