"""For ``pytest benchmarks``: the sides of other frameworks are not imported to look for doctests; they may not be installed."""

collect_ignore_glob = ["sides/*_side.py"]
