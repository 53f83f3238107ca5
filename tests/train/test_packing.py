"""State as JSON and arrays: everything comes back as it was, of the same type, bit by bit."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.errors import DTypeError
from tinygrad_cnn.train.packing import pack, unpack

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
KEYS = st.text() | st.integers() | st.sampled_from(["$tuple", "$items", "$array", "$scalar"])
TREES = st.recursive(
    PLAIN, lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(KEYS, inner), max_leaves=20
)


def there_and_back(tree):
    plain, arrays = pack(tree)
    return unpack(json.loads(json.dumps(plain)), arrays)


@given(TREES)
def test_any_tree_comes_back(tree):
    again = there_and_back(tree)
    assert again == tree
    assert repr(again) == repr(tree)  # True is not 1, (1,) is not [1], 0.0 is not -0.0


def test_arrays_tensors_and_scalars_come_back_as_arrays_and_scalars():
    tree = {"a": np.arange(3, dtype=np.float32), "t": tg.tensor([1.5]), "s": np.float64(0.1), "i": np.int32(7), "b": np.True_}
    again = there_and_back(tree)
    assert again["a"].dtype == np.float32
    np.testing.assert_array_equal(again["a"], tree["a"])
    np.testing.assert_array_equal(again["t"], [1.5])
    # A float64 scalar makes a float32 array float64, a Python float does not: the types have to stay.
    assert [type(again[name]) for name in "sib"] == [np.float64, np.int32, np.bool_]
    assert again["s"] == tree["s"]


def test_infinities_and_large_integers_come_back():
    assert there_and_back([math.inf, -math.inf, 2**127 + 1]) == [math.inf, -math.inf, 2**127 + 1]


@pytest.mark.parametrize(("tree", "says"), [({"a": [1, {2}]}, r"set at \['a'\]\[1\]"), (object(), "object at its root")])
def test_other_things_are_refused_with_their_place(tree, says):
    with pytest.raises(DTypeError, match=f"a checkpoint cannot hold the {says}"):
        pack(tree)
