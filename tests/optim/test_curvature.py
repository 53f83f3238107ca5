"""The backward pass of second derivatives: against whole Hessians where it is exact, and the paper's equations in loops."""

import math

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn, optim
from tinygrad_cnn.autograd import hessian
from tinygrad_cnn.errors import ArgumentError, AutogradError, ShapeError
from tinygrad_cnn.optim.curvature import diagonal_curvature

X = np.random.default_rng(0).standard_normal


def second_derivatives(loss, w):
    """The diagonal of the Hessian of a function of one tensor."""
    return np.diagonal(hessian(loss, w).array.reshape(w.numel(), w.numel())).reshape(w.shape)


def leaf(*shape):
    return tg.tensor(X(shape), requires_grad=True)


def curvature(losses, w):
    (found,) = diagonal_curvature(losses(w), [w])
    return found


TARGETS = np.array([2, 0, 1, 1])

# Cases in which each weight reaches the cost through a path where nothing is left out: the approximation is then exact.
EXACT = {
    "squares of a linear layer": (
        (3, 5), lambda w: tg.mse_loss(tg.linear(tg.tensor(FEATURES), w), tg.zeros(4, 3), reduction="none")),
    "cross-entropy of a linear layer": (
        (3, 5), lambda w: tg.cross_entropy(tg.linear(tg.tensor(FEATURES), w), TARGETS, reduction="none")),
    "cross-entropy with class weights": (
        (3, 5), lambda w: tg.cross_entropy(tg.linear(tg.tensor(FEATURES), w), TARGETS, tg.tensor([0.5, 2.0, 3.0]),
                                           reduction="none")),
    "the MAP criterion of penalties": ((4, 3), lambda w: tg.rbf_map_loss(w, TARGETS, 0.3, reduction="none")),
    "distances": ((4, 6), lambda w: tg.rbf_mse_loss(tg.euclidean_rbf(w, tg.tensor(CENTRES)), TARGETS, reduction="none")),
    "the centres of distances": (
        (3, 6), lambda w: tg.rbf_mse_loss(tg.euclidean_rbf(tg.tensor(POINTS), w), TARGETS, reduction="none")),
    "a mean of squares": ((4, 3), lambda w: w.square().mean(1)),
    "a difference and a negation": ((4, 3), lambda w: (-(tg.tensor(POINTS[:, :3]) - w)).square()),
}  # fmt: skip
FEATURES, CENTRES, POINTS = X((4, 5)), X((3, 6)), X((4, 6))


@pytest.mark.parametrize("name", EXACT)
def test_equals_the_diagonal_of_the_hessian_where_it_is_exact(name):
    shape, losses = EXACT[name]
    w = leaf(*shape)
    np.testing.assert_allclose(curvature(losses, w), second_derivatives(lambda w: losses(w).sum(), w), rtol=1e-9, atol=1e-12)


def test_a_hidden_layer_follows_equation_27():
    """h_i = f'(a_i)^2 * (sum over k of u_ki^2 h_k), then times x_j^2 (equation 25), with squares as the cost: h_k = 2."""
    first, second, x = X((4, 3)), X((2, 4)), X((5, 3))
    w1, w2 = tg.tensor(first, requires_grad=True), tg.tensor(second, requires_grad=True)
    hidden = tg.scaled_tanh(tg.linear(tg.tensor(x), w1))
    losses = tg.mse_loss(tg.linear(hidden, w2), tg.zeros(5, 2), reduction="none")
    expected1, expected2 = np.zeros((4, 3)), np.zeros((2, 4))
    for pattern in x:
        for i in range(4):
            a = float(first[i] @ pattern)
            slope = 1.7159 * 2 / 3 * (1 - math.tanh(2 / 3 * a) ** 2)
            h = slope**2 * sum(second[k, i] ** 2 * 2 for k in range(2))
            for j in range(3):
                expected1[i, j] += h * pattern[j] ** 2
            for k in range(2):
                expected2[k, i] += 2 * (1.7159 * math.tanh(2 / 3 * a)) ** 2
    for found, expected in zip(diagonal_curvature(losses, [w1, w2]), (expected1, expected2), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_shared_weights_sum_over_their_connections():
    """Equation 23 for a convolution of stride 2 with padding and groups, in loops, with h = 2 on every output."""
    weight, x = X((4, 1, 2, 3)), X((2, 2, 5, 6))
    w, b, v = tg.tensor(weight, requires_grad=True), leaf(4), tg.tensor(x, requires_grad=True)
    y = tg.conv2d(v, w, b, stride=2, padding=1, groups=2)
    losses = y.square()
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    of_weight, of_padded = np.zeros_like(weight), np.zeros_like(padded)
    for n, o, i, j in np.ndindex(y.shape):
        for kh, kw in np.ndindex(2, 3):
            of_weight[o, 0, kh, kw] += 2 * padded[n, o // 2, 2 * i + kh, 2 * j + kw] ** 2
            of_padded[n, o // 2, 2 * i + kh, 2 * j + kw] += 2 * weight[o, 0, kh, kw] ** 2
    found = diagonal_curvature(losses, [w, b, v])
    np.testing.assert_allclose(found[0], of_weight, rtol=1e-12)
    np.testing.assert_allclose(found[1], np.full(4, 2.0 * y.numel() / 4), rtol=1e-12)
    np.testing.assert_allclose(found[2], of_padded[:, :, 1:-1, 1:-1], rtol=1e-12)


def test_subsampling_shares_its_coefficient():
    x = X((2, 3, 4, 6))
    v, weight, bias = tg.tensor(x, requires_grad=True), leaf(3), leaf(3)
    losses = tg.subsample2d(v, weight, bias).square()
    sums = x.reshape(2, 3, 2, 2, 3, 2).sum((3, 5))
    found = diagonal_curvature(losses, [v, weight, bias])
    np.testing.assert_allclose(found[0], np.broadcast_to(2 * weight.detach().array[:, None, None] ** 2, x.shape), rtol=1e-12)
    np.testing.assert_allclose(found[1], 2 * (sums**2).sum((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(found[2], [24.0] * 3, rtol=1e-12)


def test_pools_products_and_moves():
    x = leaf(1, 1, 4, 4)
    means = tg.avg_pool2d(x, 2).square()
    np.testing.assert_allclose(curvature(lambda x: means, x), np.full((1, 1, 4, 4), 2 / 16))
    maxima = tg.max_pool2d(x, 2).square()
    top = np.sort(x.detach().array.reshape(2, 2, 2, 2).transpose(0, 2, 1, 3).reshape(4, 4))[:, -1]
    np.testing.assert_array_equal(curvature(lambda x: maxima, x), 2.0 * np.isin(x.detach().array, top))
    scale = leaf(4, 1)
    np.testing.assert_allclose(
        diagonal_curvature((x.reshape(4, 4) * scale).square(), [scale])[0],
        2 * np.square(x.detach().array.reshape(4, 4)).sum(1, keepdims=True),
    )


def test_a_leaf_beside_the_graph_has_none_and_the_graph_stays():
    w, other = leaf(2), leaf(3)
    losses = w.square()
    assert diagonal_curvature(losses, [other])[0].tolist() == [0, 0, 0]
    losses.sum().backward()
    assert w.grad is not None
    assert other.grad is None


def test_says_what_it_cannot_do():
    net = nn.Sequential(nn.BatchNorm2d(2))
    with pytest.raises(AutogradError, match=r"no rule for BatchNorm \(in 0\)"):
        diagonal_curvature(net(tg.randn(2, 2, 3, 3)).square(), list(net.parameters()))
    with pytest.raises(ArgumentError, match="no graph"):
        diagonal_curvature(tg.zeros(2), [leaf(2)])


class TestSDLM:
    def test_step_is_the_papers(self):
        """Equation 21: eta / (mu + h) times the gradient, h the mean over patterns."""
        w, x = leaf(1, 3), X((5, 3))
        start = w.detach().array.copy()
        optimizer = optim.SDLM([w], lr=0.1, mu=0.02)

        def losses(rows):
            return tg.linear(tg.tensor(rows), w).square().sum(1)

        optimizer.estimate_curvature(losses(rows) for rows in (x[:2], x[2:]))
        losses(x).mean().backward()
        optimizer.step()
        h = 2 * np.square(x).mean(0)
        gradient = (2 * (x @ start.T) * x).mean(0)
        np.testing.assert_allclose(w.detach().array[0], start[0] - 0.1 / (0.02 + h) * gradient, rtol=1e-12)

    def test_refuses_to_step_without_an_estimate(self):
        w = leaf(2)
        optimizer = optim.SDLM([w])
        w.square().sum().backward()
        before = w.detach().array.copy()
        with pytest.raises(ArgumentError, match=r"estimate_curvature\(losses\) before the first step"):
            optimizer.step()
        np.testing.assert_array_equal(w.detach().array, before)

    def test_refuses_losses_that_are_no_patterns(self):
        w = leaf(2)
        optimizer = optim.SDLM([w])
        with pytest.raises(ShapeError, match="reduction='none'"):
            optimizer.estimate_curvature([w.square().sum()])
        with pytest.raises(ArgumentError, match="got no loss"):
            optimizer.estimate_curvature([])
        assert not optimizer.state

    def test_state_round_trip_goes_on_alike(self):
        w, v = leaf(2), None
        optimizer = optim.SDLM([w], lr=0.3, mu=0.5)
        optimizer.estimate_curvature([w.square()])
        v = tg.tensor(w.detach().array.copy(), requires_grad=True)
        other = optim.SDLM([v])
        other.load_state_dict(optimizer.state_dict())
        for parameter, rule in ((w, optimizer), (v, other)):
            parameter.square().sum().backward()
            rule.step()
        np.testing.assert_array_equal(w.detach().array, v.detach().array)

    @pytest.mark.parametrize("options", [{"lr": -1}, {"mu": -0.1}])
    def test_refuses_options_out_of_range(self, options):
        with pytest.raises(ArgumentError, match="must be a number of at least 0"):
            optim.SDLM([leaf(1)], **options)
