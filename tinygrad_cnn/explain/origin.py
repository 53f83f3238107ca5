"""Where the gradient of one value came from: the way back towards the loss, as long as there is only one."""


from ..autograd.function import Function
from ..recording import Recording
from .recorded import Users
from .rules import effects
from .wording import moves, note, place

# Longer ways are cut: the reader can ask for the ledger of the value where they end.
LONGEST = 6


def origin(recording: Recording, users: Users, node: Function, index: tuple[int, ...]) -> tuple[str, ...]:
    """The steps from one output of a node towards the loss.

    A gate, a pool or a reshape passes a gradient on from one place; at a convolution or a linear layer it is a sum over
    many, and the way ends there with their number.

    Returns
    -------
    tuple of str
        ``("relu1: gate open", "pool1: won window [0, 3]", "conv2: sum of 16")``
    """
    steps: list[str] = []
    while len(steps) < LONGEST:
        flows = [flow for flow in users[node] if flow in recording.flows]
        if not flows:
            return (*steps, "the loss")
        if len(flows) > 1:
            return (*steps, f"sum over {len(flows)} readers: {', '.join(place(user) for user, _ in flows)}")
        user, argument = flows[0]
        found = effects(user, argument, index)
        if len(found.factors) != 1:
            count = len(found.factors)
            return (*steps, f"{place(user)}: sum of {count}" if count else f"{place(user)}: not read")
        output, factor = tuple(map(int, found.outputs[0])), float(found.factors[0])
        if not moves(user):
            what = f"times one {found.source}" if found.sources is not None else note(user, argument, index, output, factor)
            steps.append(f"{place(user)}: {what}")
        if not factor:
            return tuple(steps)
        node, index = user, output
    return (*steps, "...")
