"""Colours for numbers: a scale from pale to strong, and its legend.

One hue, of which the strongest still leaves dark letters readable; so the scale also reads in grey.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

PALE, STRONG = (255, 247, 236), (244, 121, 48)
UNKNOWN = "#FFFFFF"
STEPS = 5

TITLES = {
    "time": "time of an op",
    "bytes": "memory of the value",
    "flops": "floating-point operations",
    "gradnorm": "length of the gradient",
    "saved": "memory kept for the backward pass",
}


@dataclass(frozen=True)
class Scale:
    """What is pale and what is strong.

    Attributes
    ----------
    measure : str
    low, high : float
        The numbers at the ends.
    logarithmic : bool
        Whether equal factors, rather than equal differences, are equal steps.
    """

    measure: str
    low: float
    high: float
    logarithmic: bool

    @classmethod
    def of(cls, measure: str, values: Iterable[float]) -> "Scale":
        """The scale for numbers; gradients, which grow and shrink by factors, on a logarithmic one."""
        logarithmic = measure == "gradnorm"
        known = [value for value in values if math.isfinite(value) and (value > 0 or not logarithmic)]
        high = max(known, default=1.0)
        return cls(measure, min(known, default=1.0) if logarithmic else 0.0, high, logarithmic)

    def share(self, value: float) -> float:
        """Where a number is between the ends, from 0 to 1."""
        if self.logarithmic:
            if value <= 0 or self.high == self.low:
                return 0.0 if value <= 0 else 1.0
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return value / self.high if self.high else 0.0

    def colour(self, value: float | None) -> str:
        """The colour for a number, ``"#RRGGBB"``; white where there is none.

        Examples
        --------
        >>> scale = Scale("bytes", 0, 200, False)
        >>> scale.colour(0), scale.colour(200), scale.colour(None)
        ('#FFF7EC', '#F47930', '#FFFFFF')
        """
        if value is None or not math.isfinite(value):
            return UNKNOWN
        share = min(max(self.share(value), 0.0), 1.0)
        return "#" + "".join(f"{round(a + (b - a) * share):02X}" for a, b in zip(PALE, STRONG, strict=True))

    def steps(self) -> list[float]:
        """Numbers at equal steps, for the legend."""
        shares = [i / (STEPS - 1) for i in range(STEPS)]
        if self.logarithmic:
            return [math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low))) for share in shares]
        return [self.high * share for share in shares]


def with_unit(measure: str, value: float) -> str:
    """A number as it is written.

    Examples
    --------
    >>> with_unit("time", 0.00123), with_unit("bytes", 40 * 1024), with_unit("flops", 4.1e9), with_unit("gradnorm", 0.02)
    ('1.23 ms', '40 KiB', '4.1 GFLOP', '0.02')
    """
    if not math.isfinite(value) or measure == "gradnorm":
        return f"{value:.3g}"
    base, units = {
        "time": (1000.0, ("ns", "µs", "ms", "s")),
        "flops": (1000.0, ("FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP")),
    }.get(measure, (1024.0, ("B", "KiB", "MiB", "GiB", "TiB")))
    number = value * 1e9 if measure == "time" else value
    step = 0
    while number >= base and step < len(units) - 1:
        number, step = number / base, step + 1
    return f"{number:.3g} {units[step]}" if number < 1000 else f"{number:.0f} {units[step]}"
