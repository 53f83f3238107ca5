"""JAX's side: the whole training step compiled by `jax.jit`, on as many threads as XLA takes.

Plain functions of `jax.lax` on channels-last arrays, as JAX's libraries of layers have it. Parameters and velocities are
given to the compiled step to write over (donated). Before each layer the parameters that it takes are read off a list, so
the list has our order.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .. import networks as net
from ..values import cotangent, images, labels, parameter_values
from ..workloads import Layers, OneOp, Training, Workload
from . import LEARNING_RATE, MOMENTUM, Options, Prepared, Unsupported
from .layout import channels_first, channels_last, images_last
from .shapes import parameter_shapes, shapes_of

VERSION = jax.__version__

IMAGE_ORDER = ("NHWC", "HWIO", "NHWC")


def prepare(workload: Workload, options: Options) -> Prepared:
    """See `benchmarks.sides`."""
    if options.variant:
        raise Unsupported(f"JAX has no variants here; got {options.variant!r}")
    jax.config.update("jax_enable_x64", options.exact)
    if isinstance(workload, Training):
        return training(workload, options)
    if isinstance(workload, Layers):
        return layers(workload)
    if isinstance(workload, OneOp):
        raise Unsupported("a compiled function records no single ops")
    raise Unsupported("losses and updates alone are part of one compiled step here")


def training(workload: Training, options: Options) -> Prepared:
    """A training step."""
    network = workload.layers
    params = [jnp.asarray(channels_last(value), options.dtype) for value in parameter_values(parameter_shapes(network))]
    velocities = [jnp.zeros_like(param) for param in params]
    x = jnp.asarray(images_last(images((workload.batch, *workload.image))), options.dtype)
    target = jnp.asarray(labels(workload.batch, workload.classes), dtype=jnp.int32)

    def loss_of(params: list[Any], key: Any) -> Any:
        scores, *heads = run_network(network, params, x, key)
        value = cross_entropy(scores, target)
        for head in heads:
            value = value + net.HEAD_WEIGHT * cross_entropy(head, target)
        return value

    def update(params: list[Any], velocities: list[Any], key: Any) -> Any:
        key, now = jax.random.split(key)
        value, gradients = jax.value_and_grad(loss_of)(params, now)
        velocities = [MOMENTUM * v + g for v, g in zip(velocities, gradients, strict=True)]
        params = [p - LEARNING_RATE * v for p, v in zip(params, velocities, strict=True)]
        return value, params, velocities, key

    compiled = jax.jit(update, donate_argnums=(0, 1))
    state = [params, velocities, jax.random.key(1)]

    def step() -> Any:
        value, *state[:] = compiled(*state)
        jax.block_until_ready(state)
        return value

    def check() -> tuple[float, list[Any]]:
        value, gradients = jax.jit(jax.value_and_grad(loss_of))(state[0], None)
        return float(value), [channels_first(np.asarray(gradient)) for gradient in gradients]

    return Prepared(step, check)


def layers(workload: Layers) -> Prepared:
    """Some layers alone."""
    if any(isinstance(layer, net.LayerNorm | net.GroupNorm | net.AvgPool) for layer in workload.layers):
        raise Unsupported("layer norm, group norm and average pooling are not written for it")
    params = [jnp.asarray(channels_last(value)) for value in parameter_values(list(shapes_of(workload.layers)))]
    x = jnp.asarray(images_last(images(workload.shape)))

    def forward(x: Any, params: list[Any]) -> Any:
        return run(workload.layers, iter(params), x, None)

    if not workload.backward:
        return Prepared(_blocking(jax.jit(forward), x, params))
    n, h, w, c = jax.eval_shape(forward, x, params).shape
    gy = jnp.asarray(images_last(cotangent((n, c, h, w))))

    def weighted(x: Any, params: list[Any]) -> Any:
        y = forward(x, params)
        return (y * gy).sum(), y

    return Prepared(_blocking(jax.jit(jax.grad(weighted, argnums=(0, 1), has_aux=True)), x, params))


def _blocking(compiled: Callable[..., Any], *arguments: Any) -> Callable[[], None]:
    """A step that waits until its results are there."""

    def step() -> None:
        jax.block_until_ready(compiled(*arguments))

    return step


def run_network(network: net.Network, params: list[Any], x: Any, key: Any) -> list[Any]:
    """The scores, and those of the heads; without a key nothing is dropped."""
    counts = [len(list(shapes_of(part))) for part in (network.body, *network.heads)]
    starts = [0, *np.cumsum(counts).tolist()]
    taken = iter(params[: starts[1]])
    heads = []
    for layer in network.body:
        if isinstance(layer, net.Tap):
            own = iter(params[starts[layer.index + 1] : starts[layer.index + 2]])
            heads.append(run(network.heads[layer.index], own, x, key))
        else:
            x = run((layer,), taken, x, key)
    return [run(network.classifier, iter(params[starts[-1] :]), x, key), *heads]


def run(described: Sequence[net.Layer], params: Iterator[Any], x: Any, key: Any) -> Any:
    """Layers one behind the other."""
    for layer in described:
        x = _apply(layer, params, x, key)
    return x


def _apply(layer: net.Layer, params: Iterator[Any], x: Any, key: Any) -> Any:
    match layer:
        case net.Conv(_, _, _, stride, padding, groups, bias):
            pads = ((padding, padding),) * 2
            y = lax.conv_general_dilated(
                x, next(params), (stride, stride), pads, dimension_numbers=IMAGE_ORDER, feature_group_count=groups
            )
            return y + next(params) if bias else y
        case net.Linear():
            return x @ next(params) + next(params)
        case net.BatchNorm(_, eps, relu):
            mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
            y = (x - mean) * (lax.rsqrt(var + eps) * next(params)) + next(params)
            return jax.nn.relu(y) if relu else y
        case net.ResponseNorm(size, alpha, beta, k):
            window = ((0, 0), (0, 0), (0, 0), (size // 2, size // 2))
            squares = lax.reduce_window(x * x, 0.0, lax.add, (1, 1, 1, size), (1, 1, 1, 1), window)
            return x * (k + alpha / size * squares) ** -beta
        case net.ReLU():
            return jax.nn.relu(x)
        case net.MaxPool():
            return _max_pool(layer, x)
        case net.AdaptiveAvgPool(size):
            rows, columns = _averages(x.shape[1], size, x.dtype), _averages(x.shape[2], size, x.dtype)
            return jnp.einsum("ih,jw,nhwc->nijc", rows, columns, x)
        case net.Dropout(p):
            if key is None:
                return x
            kept = jax.random.bernoulli(jax.random.fold_in(key, x.size), 1 - p, x.shape)
            return jnp.where(kept, x / (1 - p), 0)
        case net.Flatten():
            return x.transpose(0, 3, 1, 2).reshape(len(x), -1)
        case net.Residual(inner, shortcut):
            y = run(inner, params, x, key)
            return jax.nn.relu(y + run(shortcut, params, x, key))
        case net.ZeroPaddedShortcut(stride, before, after):
            return jnp.pad(x[:, ::stride, ::stride], ((0, 0), (0, 0), (0, 0), (before, after)))
        case net.Branches(branches):
            return jnp.concatenate([run(branch, params, x, key) for branch in branches], axis=-1)
        case _:
            raise Unsupported(f"{type(layer).__name__} is not written for it")


def _max_pool(layer: net.MaxPool, x: Any) -> Any:
    """Where windows are rounded up, the last one reaches over the edge."""
    pads = []
    for size in x.shape[1:3]:
        span = size + 2 * layer.padding - layer.kernel
        windows = -(-span // layer.stride) + 1 if layer.ceil else span // layer.stride + 1
        pads.append((layer.padding, max(layer.padding, (windows - 1) * layer.stride + layer.kernel - size - layer.padding)))
    window, strides = (1, layer.kernel, layer.kernel, 1), (1, layer.stride, layer.stride, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, strides, ((0, 0), *pads, (0, 0)))


def _averages(size: int, outputs: int, dtype: Any) -> Any:
    """A matrix whose row i takes the mean of window i, from floor(i size / outputs) up to ceil((i + 1) size / outputs)."""
    matrix = np.zeros((outputs, size))
    for i in range(outputs):
        first, stop = i * size // outputs, -(-(i + 1) * size // outputs)
        matrix[i, first:stop] = 1 / (stop - first)
    return jnp.asarray(matrix, dtype)


def cross_entropy(scores: Any, target: Any) -> Any:
    """The mean over the batch."""
    chosen = jnp.take_along_axis(jax.nn.log_softmax(scores), target[:, None], axis=1)
    return -chosen.mean()
