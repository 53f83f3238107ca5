"""Where does the time go? `profile` answers for every op and every module of a program.

    with tg.profile() as p:
        loss = F.cross_entropy(net(x), targets)
        loss.backward()
        optimizer.step()
    print(p)                                      # a row for each op: time, bytes, GFLOP/s
    p.table(group_by="module", depth=2)
    p.chrome_trace("trace.json")                  # for chrome://tracing and ui.perfetto.dev
    viz.graph(loss, color="time", profile=p)

`recorder` watches, `timeline` is what was seen, `counting` says what an op has to do; `table` and `chrome` write.
"""

from ..autograd.observers import record_function
from .recorder import profile
from .table import Row
from .timeline import Call, Memory, Region, Timeline

__all__ = ["Call", "Memory", "Region", "Row", "Timeline", "profile", "record_function"]
