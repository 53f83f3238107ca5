"""Every op against independent definitions: `tinygrad-cnn verify`, and the table of cases that the tests run over."""

from .case import Case
from .checks import CHECKS, find_problem
from .table import CASES, all_ops, cases_of, run

__all__ = ["CASES", "CHECKS", "Case", "all_ops", "cases_of", "find_problem", "run"]
