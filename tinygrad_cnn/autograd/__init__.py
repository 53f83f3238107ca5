"""Reverse-mode automatic differentiation: the nodes, the engine, the mode, and the questions one can ask."""

from . import anomaly, engine, function, functional, mode
from .anomaly import detect_anomaly
from .function import Function
from .functional import grad
from .gradcheck import gradcheck, gradgradcheck
from .mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .products import hessian, hvp, jacobian, jvp, vjp

__all__ = [
    "Function",
    "anomaly",
    "detect_anomaly",
    "enable_grad",
    "engine",
    "function",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "hessian",
    "hvp",
    "is_grad_enabled",
    "jacobian",
    "jvp",
    "mode",
    "no_grad",
    "set_grad_enabled",
    "vjp",
]
