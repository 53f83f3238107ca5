"""Explanations of a recorded graph: why a gradient is what it is, why it is zero, None or NaN, and what a unit sees."""

from .answer import Answer
from .deconvnet import attribution
from .ledger import Consumer, Ledger, Term, gradient
from .occlusion import occlusion
from .overlay import overlay
from .receptive_field import ReceptiveField, effective_field, receptive_field
from .why_nan import why_nan
from .why_none import why_none
from .why_zero import why_zero

__all__ = [
    "Answer",
    "Consumer",
    "Ledger",
    "ReceptiveField",
    "Term",
    "attribution",
    "effective_field",
    "gradient",
    "occlusion",
    "overlay",
    "receptive_field",
    "why_nan",
    "why_none",
    "why_zero",
]
