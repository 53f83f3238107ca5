"""Wrong backward rules, made by machine: the syntax tree of every op's rules with one thing changed.

Each mutant differs from the true rule in one place:

    sign       a returned gradient is negated, or a minus sign is dropped
    term       one operand of a + or - is dropped
    factor     one operand of a * or / (or an exponent) is dropped
    step       a call on a tensor is dropped: sum_to(x, shape) -> x, x.flip(dims) -> x
    swap       the arguments of a rule's op are exchanged, or two returned gradients are

A check that accepts a mutant could not have found that error in the real rule.
"""

import ast
import copy
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tinygrad_cnn.autograd.function import Function

RULES = ("backward", "backward_kernel", "_gradient_of", "spread")
"""The methods that rules consist of."""

# Calls whose first argument (or receiver) could be mistaken for the result. Not expand: arithmetic broadcasts without it.
_STEPS = {"sum_to", "channel_sum", "flip", "cumsum", "sum", "mean", "exp", "square", "permute", "squeeze"}


@dataclass(frozen=True)
class Mutant:
    """One changed rule of one op."""

    op: type[Function]
    method: str
    what: str
    rule: Callable[..., Any]

    def __str__(self) -> str:
        return f"{self.op.__name__}.{self.method}: {self.what}"


def negated(gradient: Any) -> Any:
    """The other sign; None stays None."""
    if isinstance(gradient, tuple):
        return tuple(negated(part) for part in gradient)
    return None if gradient is None else -gradient


def mutants_of(op: type[Function]) -> Iterator[Mutant]:
    """Every mutant of the rules that an op defines or inherits (from another op's base)."""
    for method in RULES:
        rule = getattr(op, method, None)
        if not inspect.isfunction(rule) or rule.__module__.startswith("tinygrad_cnn.autograd."):
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(rule)))
        for what, changed in _changes(tree):
            yield Mutant(op, method, what, _compiled(changed, rule))


def _compiled(tree: ast.Module, rule: Callable[..., Any]) -> Callable[..., Any]:
    namespace = dict(vars(sys.modules[rule.__module__]), __package__=rule.__module__.rpartition(".")[0], negated=negated)
    exec(compile(ast.fix_missing_locations(tree), f"<mutant of {rule.__qualname__}>", "exec"), namespace)
    return namespace[rule.__name__]


def _changes(tree: ast.Module) -> Iterator[tuple[str, ast.Module]]:
    """Every one-place change: a description, and the changed copy of the tree."""
    for position, node in enumerate(ast.walk(tree)):
        for what, replace in _replacements(node):
            changed = copy.deepcopy(tree)
            target = next(n for i, n in enumerate(ast.walk(changed)) if i == position)
            _Replace(target, replace(target)).visit(changed)
            yield f"{what} in `{ast.unparse(node)}`", changed


class _Replace(ast.NodeTransformer):
    def __init__(self, target: ast.AST, replacement: ast.AST) -> None:
        self.target = target
        self.replacement = replacement

    def visit(self, node: ast.AST) -> Any:
        return self.replacement if node is self.target else self.generic_visit(node)


Replacement = tuple[str, Callable[[Any], ast.AST]]


def _replacements(node: ast.AST) -> Iterator[Replacement]:
    if isinstance(node, ast.Return) and node.value is not None:
        yield from _of_returned(node.value)
    elif isinstance(node, ast.BinOp):
        yield from _of_operator(node)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.Constant):
        yield "sign dropped", lambda n: n.operand
    elif isinstance(node, ast.Call):
        yield from _of_call(node)


def _of_operator(node: ast.BinOp) -> Iterator[Replacement]:
    if isinstance(node.op, (ast.Add, ast.Sub)):
        yield "right term dropped", lambda n: n.left
        yield "left term dropped", lambda n: n.right
    elif isinstance(node.op, (ast.Mult, ast.Div, ast.Pow)):
        yield "right factor dropped", lambda n: n.left
        if not isinstance(node.op, ast.Pow):
            yield "left factor dropped", lambda n: n.right


def _of_returned(value: ast.expr) -> Iterator[Replacement]:
    """Negate each gradient that is returned, and exchange the first two."""
    gradients = next((n for n in ast.walk(value) if isinstance(n, ast.Tuple)), None)
    if isinstance(value, ast.Tuple | ast.Subscript) and gradients is not None and _returns(value, gradients):
        for i, element in enumerate(gradients.elts):
            if not (isinstance(element, ast.Constant) and element.value is None):
                yield f"gradient {i} negated", lambda n, i=i: _with_element_negated(n, i)
        if len(gradients.elts) > 1:
            yield "gradients 0 and 1 exchanged", _with_first_two_exchanged
    else:
        yield "negated", lambda n: ast.Return(_negated(n.value))


def _returns(value: ast.expr, gradients: ast.Tuple) -> bool:
    return gradients is value or (isinstance(value, ast.Subscript) and value.value is gradients)


def _tuple_in(node: ast.Return) -> ast.Tuple:
    return next(n for n in ast.walk(node) if isinstance(n, ast.Tuple))


def _with_element_negated(node: ast.Return, i: int) -> ast.Return:
    gradients = _tuple_in(node)
    gradients.elts[i] = _negated(gradients.elts[i])
    return node


def _with_first_two_exchanged(node: ast.Return) -> ast.Return:
    gradients = _tuple_in(node)
    gradients.elts[:2] = reversed(gradients.elts[:2])
    return node


def _negated(expression: ast.expr) -> ast.Call:
    return ast.Call(ast.Name("negated", ast.Load()), [expression], [])


def _of_call(node: ast.Call) -> Iterator[Replacement]:
    function = node.func
    if isinstance(function, ast.Name) and function.id in _STEPS and node.args:
        yield f"{function.id} dropped", lambda n: n.args[0]
    elif isinstance(function, ast.Attribute) and function.attr in _STEPS:
        on_module = isinstance(function.value, ast.Name) and function.value.id in ("kernels", "numpy_reduce")
        if on_module:
            yield f"{function.attr} dropped", lambda n: n.args[0]
        elif not isinstance(function.value, ast.Name) or function.value.id != "self":
            yield f"{function.attr} dropped", lambda n: n.func.value
    elif isinstance(function, ast.Attribute) and function.attr == "apply" and len(node.args) == 2:
        yield "arguments exchanged", _with_arguments_exchanged


def _with_arguments_exchanged(node: ast.Call) -> ast.Call:
    node.args.reverse()
    return node
