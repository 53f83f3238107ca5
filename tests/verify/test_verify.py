"""The table of cases: every op is in it, and every case passes every check."""

import io
from pathlib import Path

import pytest

from tinygrad_cnn.autograd.function import Function
from tinygrad_cnn.verify import CASES, all_ops, cases_of, find_problem, table
from tinygrad_cnn.verify.case import Case, normal


@pytest.mark.parametrize("op", all_ops(), ids=lambda op: op.__name__)
def test_every_case_of_an_op_passes_every_check(op: type[Function]) -> None:
    cases = cases_of(op)
    assert cases, "no case covers this op"
    assert [problem for case in cases if (problem := find_problem(case))] == []


def test_labels_name_one_case_each():
    names = [(case.op.__name__, case.label, case.reference) for case in CASES]
    assert len(set(names)) == len(names)


class Orphan(Function):
    """An op that no case covers, if it were in the package."""

    def forward(self, x):
        return x

    def backward(self, gy):
        return gy


def test_an_op_without_a_case_fails_the_run(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(table, "all_ops", lambda: [Orphan])
    printed = io.StringIO()
    assert not table.run(stream=printed)
    assert "Orphan: no case covers this op" in printed.getvalue()


def test_a_case_that_misses_its_op_is_a_problem():
    case = Case(Orphan, "", lambda x: x * 1, (normal(2),), lambda x: x)
    assert "does not go through Orphan" in str(find_problem(case))


def test_a_wrong_value_is_reported_and_counted(monkeypatch: pytest.MonkeyPatch):
    wrong = Case(Orphan, "wrong", lambda x: Orphan.apply(x), (normal(2),), lambda x: x + 1e-3)
    monkeypatch.setattr(table, "all_ops", lambda: [Orphan])
    monkeypatch.setattr(table, "CASES", [wrong])
    printed = io.StringIO()
    assert not table.run(stream=printed)
    assert "FAIL 1/1" in printed.getvalue()
    assert "Orphan (wrong), forward: forward: off by 0.001" in printed.getvalue()


def test_the_whole_table_prints(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(table, "all_ops", lambda: all_ops()[:3])
    printed = io.StringIO()
    assert table.run(stream=printed)
    assert "3 ops" in printed.getvalue()
    assert "0 problems" in printed.getvalue()


def test_full_has_a_row_for_each_case_and_writes_the_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    wrong = Case(Orphan, "<wrong>", lambda x: Orphan.apply(x), (normal(2),), lambda x: x + 1e-3)
    right = Case(Orphan, "right", lambda x: Orphan.apply(x), (normal(2),), lambda x: x)
    monkeypatch.setattr(table, "all_ops", lambda: [Orphan])
    monkeypatch.setattr(table, "CASES", [wrong, right])
    printed = io.StringIO()
    assert not table.run(full=True, stream=printed, html=tmp_path / "verify.html")
    assert [line.split("  ")[0] for line in printed.getvalue().splitlines()[2:4]] == ["Orphan: <wrong>", "Orphan: right"]
    html = (tmp_path / "verify.html").read_text()
    assert "Orphan: &lt;wrong&gt;" in html
    assert html.count("class=fail") == 3  # the values: forward, dtype kept, kernels
    assert "off by 0.001" in html


class Careless(Function):
    """An op that writes where it must not."""

    what: str

    def forward(self, x):
        if self.what == "input":
            x *= 2
        return x * 1.0 if self.what != "dtype" else x.astype(float)

    def backward(self, gy):
        return gy

    def backward_kernel(self, gy):
        if self.what == "gradient":
            gy *= 2
        return gy


@pytest.mark.parametrize(
    ("what", "check", "message"),
    [
        ("input", "untouched", "input 0 was changed"),
        ("gradient", "untouched", "changed the gradient that it was given"),
        ("dtype", "dtype kept", "float32 inputs gave float64"),
    ],
)
def test_careless_ops_are_found(what: str, check: str, message: str):
    case = Case(Careless, "", lambda x: Careless.apply(x, what=what), (normal(2),), lambda x: x)
    assert message in str(find_problem(case, [check]))
