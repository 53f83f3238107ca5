"""Reverse-mode automatic differentiation: the nodes, the engine, the mode, and the questions one can ask."""

from . import engine, function, functional, mode
from .function import Function
from .functional import grad
from .gradcheck import gradcheck, gradgradcheck
from .mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled

__all__ = [
    "Function",
    "enable_grad",
    "engine",
    "function",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "is_grad_enabled",
    "mode",
    "no_grad",
    "set_grad_enabled",
]
