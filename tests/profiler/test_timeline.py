"""The table, the JSON text and the trace of a timeline that was written by hand, and the trace of a real one."""

import json

import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import models, optim
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.profiler import Call, Memory, Region, Timeline

A, B = (2, 3), (2, 5)


def call(name, kind, module, start, seconds, flops=0, moved=0, forward=None):
    return Call(name, kind, module, start, seconds, 0.0, flops, moved, (A,), (B,), "float32", forward)


@pytest.fixture
def timeline():
    """A convolution, two ReLUs and their rules, of round numbers."""
    calls = [
        call("Conv2d", "forward", "features.0", 0.000, 0.010, 50_000_000, 2**20),
        call("ReLU", "forward", "features.1", 0.010, 0.002, 1000, 2**21),
        call("ReLU", "forward", "head", 0.012, 0.004, 1000, 2**21),
        call("View", "forward", "", 0.016, 0.001),
        call("ReLUBackward", "backward", "head", 0.020, 0.001, 1000, 2**21, 2),
        call("ReLUBackward", "backward", "features.1", 0.021, 0.001, 1000, 2**21, 1),
        call("Conv2dBackward", "backward", "features.0", 0.022, 0.020, 100_000_000, 2**22, 0),
    ]
    regions = [Region("SGD.step", 0.050, 0.005, 0.0)]
    return Timeline(calls, regions, 0.060, 0.001, Memory([(0.010, 2**20), (0.022, 3 * 2**20), (0.040, 0)]))


# The table ----------------------------------------------------------------------------------------------------------


def test_by_op(timeline):
    assert str(timeline) == (
        "op              calls      ms     %  ms/call   MiB   MFLOP  GFLOP/s  GB/s\n"
        "-------------------------------------------------------------------------\n"
        "Conv2dBackward      1  20.000  33.3   20.000  4.00  100.00     5.00  0.21\n"
        "Conv2d              1  10.000  16.7   10.000  1.00   50.00     5.00  0.10\n"
        "ReLU                2   6.000  10.0    3.000  4.00    0.00     0.00  0.70\n"
        "[SGD.step]          1   5.000   8.3    5.000     -       -        -     -\n"
        "ReLUBackward        2   2.000   3.3    1.000  4.00    0.00     0.00  2.10\n"
        "View                1   1.000   1.7    1.000     -       -        -     -\n"
        "-------------------------------------------------------------------------\n"
        "60.000 ms: 39.000 in 7 calls, 5.000 in regions, 15.000 between them, 1.000 of the profile itself\n"
        "3.00 MiB made by ops and alive, at the most (after 22.000 ms)"
    )
    assert repr(timeline) == str(timeline)


def test_by_module(timeline):
    lines = timeline.table("order", group_by="module").splitlines()
    assert lines[0].split() == ["module", "calls", "ms", "%", "forward", "backward", "MiB", "MFLOP", "GFLOP/s", "GB/s"]
    assert lines[2].split() == ["features.0", "2", "30.000", "50.0", "10.000", "20.000", "5.00", "150.00", "5.00", "0.17"]
    assert [line.split()[0] for line in lines[2:7]] == ["features.0", "features.1", "head", "(no", "[SGD.step]"]


def test_modules_added_up(timeline):
    rows = timeline.rows("order", group_by="module", depth=1)
    assert [(row.name, row.calls) for row in rows] == [("features", 4), ("head", 2), ("(no module)", 1), ("[SGD.step]", 1)]
    assert rows[0].forward == pytest.approx(0.012)
    assert rows[0].backward == pytest.approx(0.021)
    assert rows[0].flops_per_second == pytest.approx(150_002_000 / 0.033)
    assert sum(row.time for row in rows) == pytest.approx(timeline.op_seconds + timeline.region_seconds)


def test_by_call(timeline):
    rows = timeline.rows("order", group_by="call")
    assert [row.name for row in rows[:5]] == [
        "Conv2d features.0 (2, 5)",
        "ReLU features.1 (2, 5)",
        "ReLU head (2, 5)",
        "View (2, 5)",
        "ReLUBackward head (2, 3)",
    ]
    assert all(row.calls == 1 for row in rows)
    assert len(rows) == 8


@pytest.mark.parametrize(
    ("order", "first"),
    [
        ("time", "Conv2dBackward"),
        ("forward", "Conv2d"),
        ("backward", "Conv2dBackward"),
        ("calls", "ReLU"),
        ("flops", "Conv2dBackward"),
        ("bytes", "ReLU"),
        ("order", "Conv2d"),
        ("name", "Conv2d"),
    ],
)
def test_orders(timeline, order, first):
    assert timeline.rows(order)[0].name == first
    assert len(timeline.rows(order)) == 6


def test_some_of_the_rows(timeline):
    lines = timeline.table(row_limit=2).splitlines()
    assert [line.split()[0] for line in lines[2:5]] == ["Conv2dBackward", "Conv2d", "..."]
    assert lines[4] == "... and 4 more"
    assert "39.000 in 7 calls" in lines[6]


def test_a_table_of_nothing():
    assert str(Timeline()).splitlines()[-1] == "0.000 ms: 0.000 in 0 calls, 0.000 between them, 0.000 of the profile itself"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sort_by": "size"}, r"sort_by must be 'time', 'forward', .* 'name', got 'size'"),
        ({"group_by": "layer"}, r"group_by must be 'op', 'module', 'call', got 'layer'"),
        ({"depth": 1}, r"depth=1: it is a number .* goes with group_by='module' only"),
        ({"depth": 0, "group_by": "module"}, r"depth=0: it is a number of names in a module's path, 1 or more"),
        ({"row_limit": 0}, r"row_limit is a number of rows, 1 or more, or None for all; got 0"),
    ],
)
def test_options_that_there_are_not(timeline, options, message):
    with pytest.raises(ArgumentError, match=message):
        timeline.table(**options)


# As JSON ------------------------------------------------------------------------------------------------------------


def test_json_and_back(timeline):
    text = timeline.to_json(indent=1)
    back = Timeline.from_json(text)
    assert (back.calls, back.regions, back.memory) == (timeline.calls, timeline.regions, timeline.memory)
    assert (back.seconds, back.own_seconds) == (0.060, 0.001)
    assert json.loads(text)["calls"][0]["input_shapes"] == [[2, 3]]


def test_json_of_a_profile():
    with tg.profile() as p, p.region("all"):
        tg.linear(tg.ones(2, 3), tg.ones(4, 3, requires_grad=True)).sum().backward()
    back = Timeline.from_json(p.to_json())
    assert back.calls == p.calls
    assert str(back) == str(p)


# The trace ----------------------------------------------------------------------------------------------------------


def spans(events, lane):
    """(name, first and last microsecond) of the complete events of a lane, in the order of the file."""
    number = next(e["tid"] for e in events if e["name"] == "thread_name" and e["args"]["name"] == lane)
    return [(e["name"], e["ts"], round(e["ts"] + e["dur"], 3)) for e in events if e["ph"] == "X" and e["tid"] == number]


def test_the_spans_of_each_lane(timeline, tmp_path):
    path = timeline.chrome_trace(tmp_path / "trace.json")
    events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    assert spans(events, "forward") == [
        ("features", 0.0, 12000.0),
        ("features.0", 0.0, 10000.0),
        ("Conv2d features.0", 0.0, 10000.0),
        ("features.1", 10000.0, 12000.0),
        ("ReLU features.1", 10000.0, 12000.0),
        ("head", 12000.0, 16000.0),
        ("ReLU head", 12000.0, 16000.0),
        ("View", 16000.0, 17000.0),
    ]
    assert spans(events, "backward") == [
        ("head", 20000.0, 21000.0),
        ("ReLUBackward head", 20000.0, 21000.0),
        ("features", 21000.0, 42000.0),
        ("features.1", 21000.0, 22000.0),
        ("ReLUBackward features.1", 21000.0, 22000.0),
        ("features.0", 22000.0, 42000.0),
        ("Conv2dBackward features.0", 22000.0, 42000.0),
    ]
    assert spans(events, "regions") == [("SGD.step", 50000.0, 55000.0)]
    conv = next(event for event in events if event["name"] == "Conv2d features.0")
    assert conv["args"] == {
        "module": "features.0", "input_shapes": [[2, 3]], "output_shapes": [[2, 5]], "dtype": "float32",
        "bytes": 2**20, "flops": 50_000_000,
    }  # fmt: skip
    memory = [(event["ts"], event["args"]["bytes"]) for event in events if event["ph"] == "C"]
    assert memory == [(10000.0, 2**20), (22000.0, 3 * 2**20), (40000.0, 0)]


def test_arrows_lead_from_ops_to_rules(timeline, tmp_path):
    events = json.loads(timeline.export_chrome_trace(str(tmp_path / "t.json")).read_text())["traceEvents"]
    ends = {}
    for event in events:
        if event["ph"] in "sf":
            ends.setdefault(event["id"], {})[event["ph"]] = event["ts"]
    found = sorted((arrow["s"], arrow["f"]) for arrow in ends.values())
    assert found == [(0.0, 22000.0), (10000.0, 21000.0), (12000.0, 20000.0)]


REQUIRED = {
    "X": {"name", "cat", "ph", "pid", "tid", "ts", "dur", "args"},
    "M": {"name", "ph", "pid", "tid", "args"},
    "C": {"name", "ph", "pid", "tid", "ts", "args"},
    "s": {"name", "cat", "ph", "id", "bp", "pid", "tid", "ts"},
    "f": {"name", "cat", "ph", "id", "bp", "pid", "tid", "ts"},
}


def test_the_trace_of_a_training_is_valid(tmp_path):
    net = models.SmallLeNet5()
    optimizer = optim.SGD(net.parameters(), lr=0.01)
    with tg.profile() as p:
        for _ in range(2):
            with p.region("step"):
                optimizer.zero_grad()
                tg.cross_entropy(net(tg.randn(2, 1, 28, 28)), tg.tensor([1, 2])).backward()
                optimizer.step()
    trace = json.loads(p.chrome_trace(tmp_path / "trace.json").read_text())
    assert set(trace) == {"traceEvents", "displayTimeUnit"}
    events = trace["traceEvents"]
    for event in events:
        assert set(event) == REQUIRED[event["ph"]]
    timed = [event for event in events if event["ph"] != "M"]
    moments = [event["ts"] for event in timed]
    assert moments == sorted(moments)
    assert moments[0] >= 0
    assert all(event["dur"] >= 0 for event in timed if event["ph"] == "X")
    assert sum(event["ph"] == "X" and event["cat"] in ("forward", "backward") for event in events) == len(p.calls)
    for lane in ("forward", "backward", "regions"):
        found = spans(events, lane)
        assert found
        open_until = []
        for _, begins, ends in found:
            while open_until and open_until[-1] <= begins:
                open_until.pop()
            # Inside all that is open, or it would cross the end of one.
            assert not open_until or ends <= open_until[-1] + 1e-6
            open_until.append(ends)
    assert [name for name, _, _ in spans(events, "regions")] == ["step", "SGD.step"] * 2
