"""The loss modules: each passes every one of its settings to its function, in PyTorch's order, and keeps its weights."""

import inspect

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.nn import functional as F

GENERATOR = np.random.default_rng(0)
X, Y = (tg.tensor(GENERATOR.uniform(0.1, 0.9, (3, 4))) for _ in range(2))
LABELS, SIGNS = tg.tensor(GENERATOR.integers(0, 2, (3, 4))), tg.tensor(GENERATOR.integers(0, 2, (3, 4)) * 2 - 1)
CLASSES, ROW_SIGNS = tg.tensor([0, 2, 2]), tg.tensor([1, -1, 1])
SETS = tg.tensor([[0, 2, -1, 0], [1, -1, 0, 0], [3, 2, 1, -1]])
W = tg.tensor([0.5, 1.0, 2.0, 4.0], dtype=tg.float64)

# Module, every setting at a value of its own, inputs, and the function that it stands for.
CASES = [
    (nn.FocalLoss, {"gamma": 0.7, "alpha": W, "ignore_index": 0, "reduction": "sum"}, (X, CLASSES), F.focal_loss),
    (nn.KLDivLoss, {"reduction": "batchmean", "log_target": True}, (X, Y), F.kl_div),
    (nn.SmoothL1Loss, {"reduction": "sum", "beta": 0.2}, (X, Y), F.smooth_l1_loss),
    (nn.HuberLoss, {"reduction": "sum", "delta": 0.2}, (X, Y), F.huber_loss),
    (
        nn.PoissonNLLLoss, {"log_input": False, "full": True, "eps": 0.3, "reduction": "sum"}, (X, Y * 9),
        F.poisson_nll_loss,
    ),
    (nn.GaussianNLLLoss, {"full": True, "eps": 0.4, "reduction": "sum"}, (X, Y, Y), F.gaussian_nll_loss),
    (nn.BCELoss, {"weight": W, "reduction": "sum"}, (X, Y), F.binary_cross_entropy),
    (
        nn.BCEWithLogitsLoss, {"weight": W, "reduction": "sum", "pos_weight": W + 1}, (X, Y),
        F.binary_cross_entropy_with_logits,
    ),
    (nn.SigmoidFocalLoss, {"alpha": 0.4, "gamma": 0.6, "reduction": "mean"}, (X, LABELS), F.sigmoid_focal_loss),
    (nn.SoftMarginLoss, {"reduction": "sum"}, (X, SIGNS), F.soft_margin_loss),
    (nn.HingeLoss, {"margin": 0.8, "squared": True, "reduction": "sum"}, (X, SIGNS), F.hinge_loss),
    (nn.MultiLabelSoftMarginLoss, {"weight": W, "reduction": "sum"}, (X, Y), F.multilabel_soft_margin_loss),
    (nn.HingeEmbeddingLoss, {"margin": 0.8, "reduction": "sum"}, (X, SIGNS), F.hinge_embedding_loss),
    (nn.MarginRankingLoss, {"margin": 0.8, "reduction": "sum"}, (X, Y, SIGNS), F.margin_ranking_loss),
    (
        nn.MultiMarginLoss, {"p": 2, "margin": 0.8, "weight": W, "reduction": "sum"}, (X, CLASSES),
        F.multi_margin_loss,
    ),
    (nn.MultiLabelMarginLoss, {"reduction": "sum"}, (X, SETS), F.multilabel_margin_loss),
    (nn.CosineEmbeddingLoss, {"margin": 0.4, "reduction": "sum"}, (X, Y, ROW_SIGNS), F.cosine_embedding_loss),
    (
        nn.TripletMarginLoss, {"margin": 0.8, "p": 3.0, "eps": 0.1, "swap": True, "reduction": "sum"}, (X, Y, Y * X),
        F.triplet_margin_loss,
    ),
    (nn.CosineSimilarity, {"dim": 0, "eps": 2.0}, (X, Y), F.cosine_similarity),
    (nn.PairwiseDistance, {"p": 3.0, "eps": 0.1, "keepdim": True}, (X, Y), F.pairwise_distance),
    (nn.RBFMSELoss, {"reduction": "sum"}, (X, CLASSES), F.rbf_mse_loss),
    (nn.RBFMAPLoss, {"j": 0.3, "reduction": "sum"}, (X, CLASSES), F.rbf_map_loss),
]  # fmt: skip
of_every_module = pytest.mark.parametrize(
    ("module", "settings", "inputs", "function"), CASES, ids=[case[0].__name__ for case in CASES]
)


@of_every_module
def test_settings_reach_the_function(module, settings, inputs, function):
    assert list(settings) == list(inspect.signature(module).parameters), "the case has to set every setting"
    expected = function(*inputs, **settings)
    layer = module(**settings)
    np.testing.assert_array_equal(layer(*inputs).numpy(), expected.numpy())
    for name in settings:
        without = {k: v for k, v in settings.items() if k != name}
        if inspect.signature(module).parameters[name].default is not inspect.Parameter.empty:
            assert not np.array_equal(function(*inputs, **without).numpy(), expected.numpy()), f"{name} changes nothing"


@of_every_module
def test_defaults_are_the_functions(module, settings, inputs, function):
    required = {"j": 0.3} if module is nn.RBFMAPLoss else {}
    np.testing.assert_array_equal(module(**required)(*inputs).numpy(), function(*inputs, **required).numpy())


@of_every_module
def test_weights_are_buffers(module, settings, inputs, function):
    layer = module(**settings)
    tensors = [name for name, value in settings.items() if isinstance(value, tg.Tensor)]
    assert list(layer.state_dict()) == tensors
    assert list(layer.parameters()) == []


def test_reductions_are_checked_when_the_module_is_made():
    with pytest.raises(ArgumentError, match="HuberLoss: reduction must be 'mean', 'sum' or 'none', got 'batchmean'"):
        nn.HuberLoss("batchmean")
    with pytest.raises(ArgumentError, match="KLDivLoss: reduction must be 'mean', 'sum', 'batchmean' or 'none', got 'avg'"):
        nn.KLDivLoss("avg")
