"""Why is this gradient zero? Follows the zero elements towards the loss, to the op that let nothing through.

A gradient element is a sum of products, (effect on an output) * (gradient of that output), so it is zero where every
product has a zero in it. From the tensor upwards, op by op: which outputs do the zero elements have an effect on at all
(the op's own rule says so, see `products`)? If on none, this op stopped the gradient: a shut ReLU, a dropped unit, a zero
weight. If on some, the gradients of those outputs must be zero themselves, and the question moves there.
"""

from collections import deque

import numpy as np

from ..autograd.function import AccumulateGrad, Array, Function
from ..ops.activation import LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from ..ops.conv import Conv
from ..ops.conv_transpose import ConvTranspose
from ..ops.dropout import Dropout
from ..ops.elementwise import Clamp, Mul, PiecewiseConstant
from ..ops.linalg import Linear, MatMul
from ..ops.loss import NLLLoss
from ..ops.norm import BatchNormReLU
from ..ops.pool import ChoosingPool
from ..ops.rectifier import Hardtanh
from ..ops.shape import GetItem
from ..recording import Recording, record
from ..tensor import Tensor
from .answer import Answer
from .products import along
from .recorded import Users, name_of, users_of
from .why_none import why_none
from .wording import argument_name, moves

_GATES = (ReLU, Hardtanh, Clamp)
_PRODUCTS = (Mul, Conv, ConvTranspose, Linear, MatMul)


def why_zero(p: Tensor, loss: Tensor) -> Answer:
    """Find out why a gradient, or a share of it, is zero.

    Parameters
    ----------
    p : Tensor
        A parameter, an input, or any tensor that the loss was computed from.
    loss : Tensor
        One number, whose graph was not freed: call this before ``loss.backward()``, or give that ``retain_graph=True``.
        Nodes know what they were computed from, not what was computed from them, so `p` alone would not be enough.

    Returns
    -------
    Answer
        ``ops`` are the ops that stopped the gradient.

    Raises
    ------
    ArgumentError
        If the loss is not one number.
    GraphFreedError
        If an earlier backward freed the graph.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([-1.0, -2.0], requires_grad=True)
    >>> x.name = "x"
    >>> print(why_zero(x, x.relu().sum()).summary)  # doctest: +NORMALIZE_WHITESPACE
    The gradient of x is zero, all 2 elements: ReLU is inactive on 2 of 2 inputs. The last gradient that is
    not zero is at the output of ReLU, sent by Sum (largest 1).
    """
    recording, users = record(loss, "explain.why_zero"), users_of(loss)
    node, name = p._edge(), name_of(p._edge(), users)
    if node not in recording.gradients:
        absent = why_none(p, loss)
        return Answer(f"There is no gradient at all, not even zero: {absent.summary}", absent.steps, absent.ops, absent.advice)
    zero = recording.gradients[node] == 0
    if not zero.any():
        return Answer(f"The gradient of {name} is not zero: none of its {zero.size} elements is.")
    search = _Search(recording, users)
    search.follow(node, zero)
    count = int(zero.sum())
    how_many = f"is zero, all {zero.size} elements" if count == zero.size else f"is zero at {count} of {zero.size} elements"
    if zero.size == 1:
        how_many = "is zero"
    causes = "; and ".join(search.causes)
    last = f" {search.last}" if search.last else ""
    return Answer(f"The gradient of {name} {how_many}: {causes}.{last}", tuple(search.steps), tuple(search.ops))


class _Search:
    """The zero elements on their way towards the loss."""

    def __init__(self, recording: Recording, users: Users) -> None:
        self.recording = recording
        self.users = users
        self.steps: list[str] = []
        self.causes: list[str] = []
        self.ops: list[str] = []
        self.last = ""
        self._seen: set[tuple[Function, int]] = set()

    def follow(self, start: Function, zero: Array) -> None:
        """Breadth first, so that the op nearest to the tensor is named first."""
        queue = deque([(start, zero)])
        while queue:
            node, mask = queue.popleft()
            flows = [flow for flow in self.users[node] if flow in self.recording.flows]
            if any((self.recording.flows[flow][mask] != 0).any() for flow in flows):
                self._found(node, f"what its {len(flows)} readers send back cancels out exactly, {self._readers(flows)}")
                continue
            for flow in flows:
                if flow in self._seen:
                    continue
                self._seen.add(flow)
                further = self._through(*flow, mask)
                if further is not None:
                    queue.append((flow[0], further))

    def _through(self, user: Function, argument: int, mask: Array) -> Array | None:
        """The outputs to look at next, or None where the search ends here."""
        arrived = self.recording.gradients[user]
        if _is_saturated(user) and (arrived != 0).any():
            self._stop(user, "is saturated: one class has probability 1 to the last digit, so p - y is 0")
            return None
        reached = _reached(user, argument, mask)
        if not reached.any():
            self._stop(user, _reason(user, argument, mask))
            return None if (arrived != 0).any() else np.ones(user.shape, bool)
        if (arrived[reached] != 0).any():
            self._stop(user, "multiplies gradients that are not zero, but the products underflow or add up to exactly 0")
            return None
        if not moves(user):
            self.steps.append(
                f"{user.described}: the zero elements of its {argument_name(user, argument)} have an effect on "
                f"{int(reached.sum())} of {reached.size} outputs, whose gradients are all 0"
            )
        return reached

    def _stop(self, user: Function, reason: str) -> None:
        arrived = self.recording.gradients[user]
        self._found(user, f"{user.described} {reason}")
        if not (arrived != 0).any():
            self.steps.append(f"{user.described}: {reason}; and the gradient that arrives there is 0 as well")
            return
        largest = np.abs(arrived[np.isfinite(arrived)]).max(initial=0)
        flows = self._senders(user)
        sender = f", sent by {self._readers(flows)}" if flows else " (the loss)"
        self.steps.append(f"{user.described}: {reason}")
        if not self.last:
            self.last = (
                f"The last gradient that is not zero is at the output of {user.described}{sender} (largest {largest:.3g})."
            )

    def _found(self, node: Function, cause: str) -> None:
        if cause not in self.causes:
            self.causes.append(cause)
            self.ops.append(node.described)

    def _senders(self, node: Function) -> list[tuple[Function, int]]:
        """Who sends the node its gradient, looking through reshapes and the like."""
        flows = [flow for flow in self.users[node] if flow in self.recording.flows]
        while len(flows) == 1 and moves(flows[0][0]) and self.users[flows[0][0]]:
            flows = [flow for flow in self.users[flows[0][0]] if flow in self.recording.flows]
        return flows

    def _readers(self, flows: list[tuple[Function, int]]) -> str:
        return " and ".join(dict.fromkeys(user.described for user, _ in flows))


def _reached(user: Function, argument: int, mask: Array) -> Array:
    """The outputs that change with the marked elements; a random direction, so that changes do not cancel."""
    draws = np.random.default_rng(0).uniform(0.5, 1.5, mask.shape) * np.random.default_rng(1).choice([-1, 1], mask.shape)
    change = np.abs(along(user, argument, (draws * mask).astype(user.input_dtypes[argument])))
    # Convolutions by FFT or Winograd leave rounding where there is nothing.
    return change > 100 * np.finfo(user.dtype).eps * change.max(initial=0)


def _is_saturated(user: Function) -> bool:
    if isinstance(user, LogSoftmax):
        largest = np.exp(user.saved_arrays[0]).max(user.params["dim"])
    elif isinstance(user, Softmax):
        largest = user.saved_arrays[0].max(user.params["dim"])
    else:
        return False
    return bool(largest.size) and bool((largest == 1).all())


def _reason(user: Function, argument: int, mask: Array) -> str:
    """Why an op lets nothing through of the marked elements."""
    name = argument_name(user, argument)
    if isinstance(user, _GATES):
        return f"is inactive on {_flat(user, argument)}"
    if isinstance(user, BatchNormReLU):
        y = _outputs_of_channels(user, argument, mask)
        if (y <= 0).all():
            return f"is inactive on all {y.size} outputs of {y.shape[1]} of {user.shape[1]} channels"
    if isinstance(user, Dropout):
        return f"dropped {_flat(user, argument)}"
    if isinstance(user, Sigmoid | Tanh):
        return f"is saturated (slope 0) on {_flat(user, argument)}"
    if isinstance(user, PiecewiseConstant):
        return "is flat everywhere: its derivative is 0"
    if isinstance(user, _PRODUCTS) and argument < 2:
        other = argument_name(user, 1 - argument)
        return f"multiplies {name} by {other}{_maker(user.edges[1 - argument])}, which is 0 {_everywhere(user, argument)}"
    if isinstance(user, ChoosingPool):
        return "chose other elements as the values of its windows"
    if isinstance(user, GetItem):
        return "does not pick these elements"
    if isinstance(user, NLLLoss):
        return "counts only the log-probability of the target class"
    return f"has derivative 0 with respect to these elements of {name}"


def _outputs_of_channels(user: BatchNormReLU, argument: int, mask: Array) -> Array:
    """What came out in the channels that marked elements are in."""
    channels = mask.any(tuple(axis for axis in range(mask.ndim) if axis != 1)) if argument == 0 else mask
    y: Array = user.saved_arrays[4][:, channels]
    return y


def _flat(user: Function, argument: int) -> str:
    """On how many inputs an op that works element by element has slope 0."""
    slopes = along(user, argument, np.ones(user.input_shapes[argument], user.input_dtypes[argument]))
    return f"{int((slopes == 0).sum())} of {slopes.size} inputs"


def _maker(node: Function | None) -> str:
    """Whose output an operand is, looking through reshapes and the like."""
    while node is not None and moves(node):
        node = node.edges[0]
    return "" if node is None or isinstance(node, AccumulateGrad) else f" (the output of {node.described})"


def _everywhere(user: Function, argument: int) -> str:
    other = user.saved_arrays[1 - argument]
    return "everywhere" if other is not None and not other.any() else "wherever they meet"
