"""Backward passes of conv2d as learners write them: right ones in five styles, and loops with one mistake each."""

import itertools

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def loops(gy, x, weight, *, stride, padding, dilation, groups):
    gx, gweight, gbias = np.zeros_like(x), np.zeros_like(weight), np.zeros(len(weight))
    filters, channels = len(weight) // groups, weight.shape[1]
    for n, o, i, j in np.ndindex(gy.shape):
        gbias[o] += gy[n, o, i, j]
        for c, a, b in np.ndindex(weight.shape[1:]):
            row = i * stride[0] + a * dilation[0] - padding[0]
            column = j * stride[1] + b * dilation[1] - padding[1]
            channel = o // filters * channels + c
            if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
                gx[n, channel, row, column] += gy[n, o, i, j] * weight[o, c, a, b]
                gweight[o, c, a, b] += gy[n, o, i, j] * x[n, channel, row, column]
    return gx, gweight, gbias


def im2col(gy, x, weight, *, stride, padding, dilation, groups):
    n, _, h, w = x.shape
    o, cg, kh, kw = weight.shape
    oh, ow = gy.shape[2:]
    rows = (np.arange(kh) * dilation[0])[:, None, None, None] + (np.arange(oh) * stride[0])[None, None, :, None]
    columns = (np.arange(kw) * dilation[1])[None, :, None, None] + (np.arange(ow) * stride[1])[None, None, None, :]
    rows, columns = np.broadcast_arrays(rows, columns)
    xp = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    gxp, gweight = np.zeros_like(xp), np.zeros_like(weight)
    for g in range(groups):
        mine, its = slice(g * o // groups, (g + 1) * o // groups), slice(g * cg, (g + 1) * cg)
        cols = xp[:, its][:, :, rows, columns].reshape(n, cg * kh * kw, oh * ow)
        gflat = gy[:, mine].reshape(n, -1, oh * ow)
        gweight[mine] = np.tensordot(gflat, cols, ((0, 2), (0, 2))).reshape(weight[mine].shape)
        gcols = weight[mine].reshape(o // groups, -1).T @ gflat
        np.add.at(gxp[:, its], (slice(None), slice(None), rows, columns), gcols.reshape(n, cg, kh, kw, oh, ow))
    return gxp[:, :, padding[0] : padding[0] + h, padding[1] : padding[1] + w], gweight, gy.sum((0, 2, 3))


def einsum_over_views(gy, x, weight, *, stride, padding):
    (sh, sw), (ph, pw) = stride, padding
    kh, kw = weight.shape[2:]
    xp = np.pad(x, [(0, 0), (0, 0), (ph, ph), (pw, pw)])
    windows = sliding_window_view(xp, (kh, kw), axis=(2, 3))[:, :, ::sh, ::sw]
    gweight = np.einsum("ncijab,noij->ocab", windows, gy)
    gxp = np.zeros_like(xp)
    for (i, j), _ in np.ndenumerate(gy[0, 0]):
        gxp[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw] += np.einsum("no,ocab->ncab", gy[:, :, i, j], weight)
    return gxp[:, :, ph : ph + x.shape[2], pw : pw + x.shape[3]], gweight, np.einsum("noij->o", gy)


def _stretched(gy, stride, shape):
    """gy with stride - 1 zeros between, in the shape of a convolution of stride 1."""
    wide = np.zeros((*gy.shape[:2], *shape))
    wide[:, :, : (gy.shape[2] - 1) * stride[0] + 1 : stride[0], : (gy.shape[3] - 1) * stride[1] + 1 : stride[1]] = gy
    return wide


def full_correlation(gy, x, weight, *, stride, padding):
    """The textbook's: gx is the full correlation of the stretched gy with the flipped kernel."""
    (ph, pw), (kh, kw) = padding, weight.shape[2:]
    xp = np.pad(x, [(0, 0), (0, 0), (ph, ph), (pw, pw)])
    wide = _stretched(gy, stride, (xp.shape[2] - kh + 1, xp.shape[3] - kw + 1))
    around = np.pad(wide, [(0, 0), (0, 0), (kh - 1, kh - 1), (kw - 1, kw - 1)])
    gxp = np.einsum("noijab,ocab->ncij", sliding_window_view(around, (kh, kw), axis=(2, 3)), weight[:, :, ::-1, ::-1])
    gweight = np.einsum("ncabij,noij->ocab", sliding_window_view(xp, wide.shape[2:], axis=(2, 3)), wide)
    return gxp[:, :, ph : xp.shape[2] - ph, pw : xp.shape[3] - pw], gweight, wide.sum((0, 2, 3))


def fourier(gy, x, weight, *, stride, padding):
    (ph, pw), (kh, kw) = padding, weight.shape[2:]
    xp = np.pad(x, [(0, 0), (0, 0), (ph, ph), (pw, pw)])
    size = xp.shape[2:]
    wide = np.fft.rfft2(_stretched(gy, stride, size))
    kernel, image = np.fft.rfft2(weight, size), np.fft.rfft2(xp)
    gxp = np.fft.irfft2(np.einsum("nohw,ochw->nchw", wide, kernel), size)
    gweight = np.fft.irfft2(np.einsum("nohw,nchw->ochw", wide.conj(), image), size)[:, :, :kh, :kw]
    return gxp[:, :, ph : ph + x.shape[2], pw : pw + x.shape[3]], gweight, gy.sum(axis=(0, 2, 3))


STYLES = (loops, im2col, einsum_over_views, full_correlation, fourier)


def mutant(mistake):
    """The loops again, with one line of them wrong."""

    def my_backward(gy, x, weight, *, stride, padding, dilation, groups):
        (sh, sw), (ph, pw), (dh, dw) = stride, padding, dilation
        n_all, c_all, h, w = x.shape
        o_all, cg, kh, kw = weight.shape
        if mistake == "stride":
            sh = sw = 1
        if mistake == "dilation":
            dh = dw = 1
        if mistake == "sw = sh":
            sw = sh
        if mistake == "pw = ph":
            pw = ph
        if mistake == "range(kh) twice":
            kw = kh
        xp = np.zeros((n_all, c_all, h + 2 * ph, w + 2 * pw))
        xp[:, :, ph : ph + h, pw : pw + w] = x
        gxp, gweight, gbias = np.zeros_like(xp), np.zeros_like(weight), np.zeros(o_all)
        for n, o, i, j in np.ndindex(gy.shape):
            g = 0 if mistake == "group 0" else o // (o_all // groups)
            if mistake == "o % groups":
                g = o % groups
            for c, a, b in itertools.product(range(cg), range(kh), range(kw)):
                at = n, g * cg + c, i * sh + a * dh, j * sw + b * dw
                tap = weight[o, c, kh - 1 - a, kw - 1 - b] if mistake == "flip" else weight[o, c, a, b]
                if mistake == "x for weight":
                    tap = xp[at]
                seen = weight[o, c, a, b] if mistake == "weight for x" else xp[at]
                if mistake == "gx =":
                    gxp[at] = gy[n, o, i, j] * tap
                else:
                    gxp[at] += gy[n, o, i, j] * tap
                into = (o, c, kh - 1 - a, kw - 1 - b) if mistake == "gweight flipped" else (o, c, a, b)
                if mistake == "gweight =":
                    gweight[into] = gy[n, o, i, j] * seen
                elif mistake != "last image" or n == n_all - 1:
                    gweight[into] += gy[n, o, i, j] * seen / (n_all if mistake == "batch mean" else 1)
            gbias[o] += gy[n, o, i, j]
        gx = gxp[:, :, ph : ph + h, pw : pw + w]
        if mistake == "border kept":
            gx = gxp
        if mistake == "border cut at the end":
            gx = gxp[:, :, :h, :w]
        if mistake == "bias by position":
            gbias = gy.sum(0)
        if mistake == "bias by image":
            gbias = gy.sum((2, 3))
        if mistake == "bias mean":
            gbias = gy.mean((2, 3)).sum(0)
        return gx, gweight, gbias

    return my_backward


MUTANTS = {
    "flip": "kernel not flipped",
    "stride": "stride ignored",
    "dilation": "dilation ignored",
    "sw = sh": "height used for width",
    "pw = ph": "height used for width",
    "range(kh) twice": "height used for width",
    "group 0": "groups mixed",
    "o % groups": "groups mixed",
    "x for weight": "input used for weight",
    "weight for x": "weight used for input",
    "gx =": "gradient overwritten where windows overlap",
    "gweight =": "weight's gradient overwritten by each window",
    "gweight flipped": "kernel flipped in the weight's gradient",
    "last image": "no sum over the batch",
    "batch mean": "averaged over the batch",
    "border kept": "padding not removed",
    "border cut at the end": "padding not removed",
    "bias by position": "bias not summed over space",
    "bias by image": "no sum over the batch",
    "bias mean": "bias averaged over space",
}
