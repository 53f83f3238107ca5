"""What a model answers: numbers by hand, and no trace left on the model."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import data, nn
from tinygrad_cnn.errors import ArgumentError, DataError, ShapeError
from tinygrad_cnn.train import evaluate

# Scores whose softmax is easily written down: log 3 and 0 make 3/4 and 1/4.
LOGS = np.log([[3.0, 1.0], [1.0, 9.0], [1.0, 1.0], [4.0, 1.0], [1.0, 3.0]])
TARGETS = np.array([0, 0, 1, 1, 1])


@pytest.fixture
def result():
    """Five samples in batches of three and two."""
    return evaluate(nn.Identity(), data.DataLoader(data.TensorDataset(LOGS, TARGETS), batch_size=3))


def test_probabilities_are_the_softmax_of_the_scores(result):
    np.testing.assert_allclose(result.probabilities, [[0.75, 0.25], [0.1, 0.9], [0.5, 0.5], [0.8, 0.2], [0.25, 0.75]])
    assert result.targets.tolist() == TARGETS.tolist()


def test_the_loss_is_the_mean_over_samples_not_over_batches(result):
    assert result.loss == pytest.approx(-np.mean(np.log([0.75, 0.1, 0.5, 0.2, 0.75])))


def test_the_prediction_is_the_most_probable_class_and_the_first_at_a_tie(result):
    assert result.predicted.tolist() == [0, 1, 0, 0, 1]
    assert result.error == pytest.approx(3 / 5)


def test_the_surest_mistake_comes_first(result):
    assert result.wrong.tolist() == [1, 3, 2]


def test_the_confusion_counts_these_predictions(result):
    assert result.confusion().counts.tolist() == [[1, 1], [2, 1]]
    assert result.confusion().names == ("0", "1")
    assert result.confusion(["left", "right"]).names == ("left", "right")


def test_the_model_runs_in_evaluation_mode_and_without_a_graph(model, batches):
    seen = []
    model.register_forward_hook(lambda module, inputs, output: seen.append((module.training, output.requires_grad)))
    evaluate(model, batches)
    assert seen == [(False, False)] * 3


def test_every_part_is_back_in_its_mode_afterwards(model, batches):
    model.train()
    model.dropout.eval()
    evaluate(model, batches)
    assert (model.training, model.dropout.training, model.fc.training) == (True, False, True)


def test_the_modes_come_back_after_an_error_too(model, batches):
    model.train()
    with pytest.raises(ZeroDivisionError):
        evaluate(model, batches, loss=lambda scores, targets: 1 / 0)
    assert model.training
    assert tg.is_grad_enabled()


def test_another_loss_is_used(model, batches):
    assert evaluate(model, batches, loss=lambda scores, targets: tg.tensor(2.5)).loss == pytest.approx(2.5)


def test_no_data_is_an_error(model):
    with pytest.raises(DataError, match="without samples"):
        evaluate(model, [])


# Rules of prediction --------------------------------------------------------------------------------------------------


def loaded():
    return data.DataLoader(data.TensorDataset(LOGS, TARGETS), batch_size=3)


def test_the_smallest_wins_where_outputs_are_penalties(result):
    """Of negated scores, everything but the loss is as of the scores."""
    penalties = data.DataLoader(data.TensorDataset(-LOGS, TARGETS), batch_size=3)
    other = evaluate(nn.Identity(), penalties, predict="argmin")
    np.testing.assert_allclose(other.probabilities, result.probabilities)
    assert other.predicted.tolist() == result.predicted.tolist()
    assert (other.error, other.wrong.tolist()) == (result.error, result.wrong.tolist())


def test_a_rule_of_ones_own():
    result = evaluate(nn.Identity(), loaded(), predict=lambda scores: (scores[:, 1] > -1).to(np.int64))
    assert result.predicted.tolist() == [1] * 5
    assert result.error == pytest.approx(2 / 5)
    assert result.confusion().counts.tolist() == [[0, 2], [0, 3]]


def test_a_rule_that_gives_no_classes_is_refused():
    with pytest.raises(ShapeError, match=r"a class number for each of the 3 samples, it gave float64 of shape \(3, 2\)"):
        evaluate(nn.Identity(), loaded(), predict=lambda scores: scores)


def test_an_unknown_rule_is_refused():
    with pytest.raises(ArgumentError, match="predict must be 'argmax', 'argmin' or a function, got 'max'"):
        evaluate(nn.Identity(), loaded(), predict="max")


def test_accuracy_and_top_k_come_from_the_same_answers(result):
    assert result.accuracy == pytest.approx(2 / 5)
    assert (result.top_k(1), result.top_k(2)) == (pytest.approx(2 / 5), 1.0)
