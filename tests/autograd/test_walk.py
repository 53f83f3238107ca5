"""Walking the graph, against the order that its definition asks for."""

import tinygrad_cnn as tg
from tinygrad_cnn.autograd.walk import consumers, reachable


def test_consumers_come_first_and_every_node_once():
    x = tg.tensor([1.0], requires_grad=True)
    y = x * 2
    z = (y + y.exp()) * y
    order = reachable([z.grad_fn, y.grad_fn])
    assert len(order) == len(set(order)) == 5
    assert order[0] is z.grad_fn
    assert order[-1] is x._edge()
    for node in order:
        assert all(order.index(node) < order.index(edge) for edge in node.edges if edge is not None)


def test_users_of_a_value_with_the_arguments_that_it_is():
    x = tg.tensor([1.0], requires_grad=True)
    y = x * x
    z = y + x
    users = consumers(reachable([z.grad_fn]))
    assert sorted((node.op_name, i) for node, i in users[x._edge()]) == [("Add", 1), ("Mul", 0), ("Mul", 1)]
    assert users[y.grad_fn] == [(z.grad_fn, 0)]
    assert users[z.grad_fn] == []


def test_long_chains_are_walked_without_recursion():
    y = x = tg.tensor([1.0], requires_grad=True)
    for _ in range(20_000):
        y = y * 1.0
    assert len(reachable([y.grad_fn])) == 20_001
    assert x.grad is None
