"""Errors and confusion tables, against counts made by hand."""

import numpy as np
import pytest

from tinygrad_cnn.errors import ArgumentError, DTypeError, ShapeError
from tinygrad_cnn.train import Confusion, accuracy, error_rate, top_k_accuracy

TARGETS = [0, 0, 1, 2, 2, 2]
PREDICTED = [0, 1, 1, 0, 2, 2]


def test_error_and_accuracy_are_shares_of_the_samples():
    assert error_rate(TARGETS, PREDICTED) == pytest.approx(2 / 6)
    assert accuracy(TARGETS, PREDICTED) == pytest.approx(4 / 6)


def test_the_error_of_no_samples_is_not_a_number():
    assert np.isnan(error_rate([], []))


def test_rows_are_true_classes_and_columns_predictions():
    confusion = Confusion.of(TARGETS, PREDICTED, "abc")
    assert confusion.counts.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 2]]


def test_recall_is_the_share_of_a_true_class_that_was_found():
    confusion = Confusion.of(TARGETS, PREDICTED, "abcd")
    np.testing.assert_allclose(confusion.recall, [1 / 2, 1, 2 / 3, np.nan])


def test_precision_is_the_share_of_right_ones_among_the_predictions_of_a_class():
    np.testing.assert_allclose(Confusion.of(TARGETS, PREDICTED, "abcd").precision, [1 / 2, 1 / 2, 1, np.nan])


def test_f1_is_the_harmonic_mean_of_both():
    confusion = Confusion.of(TARGETS, PREDICTED, "abcd")
    p, r = confusion.precision[:3], confusion.recall[:3]
    np.testing.assert_allclose(confusion.f1, [*(2 * p * r / (p + r)), np.nan])


def test_top_k_looks_among_the_k_largest_scores():
    scores = np.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1], [0.25, 0.25, 0.25, 0.25]])
    found = [top_k_accuracy([2, 3, 1], scores, k) for k in (1, 2, 3, 4)]
    np.testing.assert_allclose(found, [0, 2 / 3, 2 / 3, 1])  # at a tie the lower class number comes first
    assert [top_k_accuracy([target], np.zeros((1, 1000)), 5) for target in (0, 4, 5, 999)] == [1, 1, 0, 0]


def test_top_k_of_no_samples_is_not_a_number():
    assert np.isnan(top_k_accuracy([], np.zeros((0, 3)), 2))


@pytest.mark.parametrize("k", [0, 4])
def test_top_k_needs_as_many_classes(k):
    with pytest.raises(ArgumentError, match=f"k must be from 1 to the 3 classes, got {k}"):
        top_k_accuracy([0], [[1.0, 2.0, 3.0]], k)


def test_top_k_needs_a_row_of_scores_for_each_target():
    with pytest.raises(ShapeError, match=r"expected targets \(n,\) and scores \(n, classes\), got \(2,\) and \(1, 3\)"):
        top_k_accuracy([0, 1], [[1.0, 2.0, 3.0]], 1)


def test_the_table_has_a_line_for_each_class_and_dots_for_zeros():
    assert Confusion.of(TARGETS, PREDICTED, ["a", "b", "c", "none"]).table().splitlines() == [
        "true \\ predicted    a    b    c none   recall",
        "               a    1    1    .    .   50.0 %",
        "               b    .    1    .    .  100.0 %",
        "               c    1    .    2    .   66.7 %",
        "            none    .    .    .    .        -",
    ]


def test_wide_counts_and_names_widen_all_columns():
    lines = Confusion(np.array([[123456, 1], [0, 2]]), ("a", "b")).table().splitlines()
    assert lines[1].split() == ["a", "123456", "1", "100.0", "%"]
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize(
    ("targets", "predicted", "says"), [([2], [0], "the target 2"), ([0], [2], "the prediction 2"), ([-1], [0], "the target -1")]
)
def test_a_class_without_a_name_is_refused(targets, predicted, says):
    with pytest.raises(ArgumentError, match=f"{says} is not one of the 2 classes 0 to 1"):
        Confusion.of(targets, predicted, "ab")


def test_scores_in_the_place_of_classes_are_refused():
    with pytest.raises(DTypeError, match=r"must be integers, got float64: take argmax\(1\)"):
        error_rate([0, 1], [0.2, 0.8])


@pytest.mark.parametrize(("targets", "predicted"), [([0, 1], [0]), ([[0, 1]], [[0, 1]])])
def test_lists_that_do_not_match_are_refused(targets, predicted):
    with pytest.raises(ShapeError, match="two lists of one length"):
        error_rate(targets, predicted)
