"""Would the checks notice a wrong backward? Plant every mutant and see that one of them fails."""

import pytest

from tinygrad_cnn.autograd.function import Function
from tinygrad_cnn.verify import all_ops, cases_of, find_problem

from .mutants import Mutant, mutants_of

OPS = all_ops()

EQUIVALENT = {
    "PiecewiseConstant.backward: negated in `return gy.masked_fill(True, 0)`": "zero has no sign",
    "Power.backward: negated in `return gy.masked_fill(True, 0)`": "zero has no sign",
}


def _survives(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> bool:
    with monkeypatch.context() as patch:
        patch.setattr(mutant.op, mutant.method, mutant.rule)
        return all(find_problem(case) is None for case in cases_of(mutant.op))


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.__name__)
def test_every_mutant_of_an_op_is_rejected(op: type[Function], monkeypatch: pytest.MonkeyPatch) -> None:
    mutants = list(mutants_of(op))
    assert mutants, f"{op.__name__} has no rule to change"
    survivors = {str(mutant) for mutant in mutants if _survives(mutant, monkeypatch)}
    assert survivors == {name for name in EQUIVALENT if name.startswith(f"{op.__name__}.")}


def test_the_bank_is_large_and_covers_every_kind() -> None:
    bank = [str(mutant) for op in OPS for mutant in mutants_of(op)]
    assert len(bank) > 250
    for kind in ("negated", "sign dropped", "term dropped", "factor dropped", "sum_to dropped", "exchanged"):
        assert any(kind in mutant for mutant in bank), kind
