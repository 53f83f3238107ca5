"""Backward passes of the other ops as learners write them, each with one mistake: (op, the name, the function)."""

import numpy as np


def tanh_of_x(gy, x):
    return gy * (1 - x**2)


def sigmoid_without_gy(gy, x):
    y = 1 / (1 + np.exp(-x))
    return y * (1 - y)


def softmax_diagonal(gy, x):
    y = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    gx = np.zeros_like(x)
    for n, i in np.ndindex(x.shape):
        gx[n, i] = gy[n, i] * (y[n, i] - y[n, i] ** 2)
    return gx


def entropy_of_the_sum(gy, x, target):
    gx = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    gx[np.arange(len(x)), target] -= 1
    return gy * gx


def entropy_without_target(gy, x, target):
    return gy * np.exp(x) / np.exp(x).sum(1, keepdims=True) / len(x)


def pool_to_ties(gy, x, *, kernel_size, stride, padding):
    return _pool(gy, x, kernel_size, stride, padding, lambda window, g: g * (window == window.max()))


def pool_if_positive(gy, x, *, kernel_size, stride, padding):
    def give(window, g):
        mask = np.zeros(window.shape)
        mask[np.unravel_index(np.argmax(window), window.shape)] = g if g > 0 else 0
        return mask

    return _pool(gy, x, kernel_size, stride, padding, give)


def pool_whole_sum(gy, x, *, kernel_size, stride, padding):
    return _pool(gy, x, kernel_size, stride, padding, lambda window, g: g * np.ones(window.shape))


def pool_by_kernel_steps(gy, x, *, kernel_size, stride, padding):
    return _pool(gy, x, kernel_size, kernel_size, padding, lambda window, g: g / window.size * np.ones(window.shape))


def _pool(gy, x, kernel_size, stride, padding, give):
    n, c, h, w = x.shape
    (kh, kw), (sh, sw), (ph, pw) = kernel_size, stride, padding
    xp = np.full((n, c, h + 2 * ph, w + 2 * pw), -np.inf)
    xp[:, :, ph : ph + h, pw : pw + w] = x
    gxp = np.zeros(xp.shape)
    for a, b, i, j in np.ndindex(gy.shape):
        top, left = i * sh, j * sw
        gxp[a, b, top : top + kh, left : left + kw] += give(xp[a, b, top : top + kh, left : left + kw], gy[a, b, i, j])
    return gxp[:, :, ph : ph + h, pw : pw + w]


def norm_of_constants(gy, x, weight, *, eps):
    gx, gweight, gbias = np.zeros_like(x), np.zeros_like(weight), np.zeros_like(weight)
    for c in range(len(weight)):
        std = (x[:, c].var() + eps) ** 0.5
        gx[:, c] = gy[:, c] * weight[c] / std
        gweight[c] = (gy[:, c] * (x[:, c] - x[:, c].mean())).sum() / std
        gbias[c] = gy[:, c].sum()
    return gx, gweight, gbias


def linear_untransposed(gy, x, weight):
    return gy @ weight, x.T @ gy, gy.sum(0)


def linear_first_bias(gy, x, weight):
    return gy @ weight, gy.T @ x, gy[0]


def transposed_flipped(gy, x, weight, *, stride, padding):
    gyp = np.pad(gy, [(0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2])
    gx, gweight = np.zeros_like(x), np.zeros_like(weight)
    kh, kw = weight.shape[2:]
    for n, c, i, j in np.ndindex(x.shape):
        window = gyp[n, :, i * stride[0] : i * stride[0] + kh, j * stride[1] : j * stride[1] + kw]
        gx[n, c, i, j] = (window * weight[c, :, ::-1, ::-1]).sum()
        gweight[c] += window * x[n, c, i, j]
    return gx, gweight, gy.sum((0, 2, 3))


MUTANTS = [
    ("relu", "relu: mask from the gradient", lambda gy, x: np.where(gy > 0, gy, 0)),
    ("relu", "relu: >= at 0", lambda gy, x: np.where(x < 0, 0, gy)),
    ("tanh", "tanh: input used for output", tanh_of_x),
    ("sigmoid", "gradient forgotten", sigmoid_without_gy),
    ("softmax", "softmax: Jacobian's off-diagonal forgotten", softmax_diagonal),
    ("cross_entropy", "cross-entropy: not divided by n", entropy_of_the_sum),
    ("cross_entropy", "cross-entropy: target not subtracted", entropy_without_target),
    ("max_pool2d", "pool: gradient to all ties", pool_to_ties),
    ("max_pool2d", "max pool: mask from the gradient", pool_if_positive),
    ("avg_pool2d", "mean pool: gradient not divided", pool_whole_sum),
    ("avg_pool2d", "stride ignored", pool_by_kernel_steps),
    ("batch_norm", "batch norm: mean and variance taken as constants", norm_of_constants),
    ("linear", "linear: not transposed", linear_untransposed),
    ("linear", "no sum over the batch", linear_first_bias),
    ("conv_transpose2d", "kernel flipped", transposed_flipped),
]
