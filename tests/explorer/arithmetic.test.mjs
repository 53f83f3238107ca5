/** Index arithmetic against plain loops over every output, tap and channel; run by `node --test`. */

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  adaptiveWindow,
  broadcastIndex,
  combined,
  flatten,
  indices,
  meetings,
  spreadIndex,
  unflatten,
  windowOf,
  windowsAround,
} from "../../tinygrad_cnn/explorer/assets/arithmetic.mjs";
import { agrees, format } from "../../tinygrad_cnn/explorer/assets/numbers.mjs";
import { arrange, shade } from "../../tinygrad_cnn/explorer/assets/picture.mjs";
import { WORDS, speaker } from "../../tinygrad_cnn/explorer/assets/words.mjs";

/** A small generator of its own, so that the same geometries come each time. */
function generator(seed) {
  let state = seed;
  return (low, high) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return low + Math.floor((state / 2147483648) * (high - low + 1));
  };
}

/** A geometry that fits, with `dims` spatial axes. */
function drawn(draw, dims) {
  const groups = draw(1, 2);
  const list = (low, high) => Array.from({ length: dims }, () => draw(low, high));
  const g = {
    batch: draw(1, 2),
    groups,
    in_channels: groups * draw(1, 2),
    out_channels: groups * draw(1, 2),
    kernel: list(1, 3),
    stride: list(1, 3),
    before: list(0, 2),
    dilation: list(1, 2),
    in: list(5, 7),
  };
  const after = list(0, 2);
  g.out = g.in.map(
    (n, a) => Math.floor((n + g.before[a] + after[a] - g.dilation[a] * (g.kernel[a] - 1) - 1) / g.stride[a]) + 1,
  );
  return g;
}

/** Every meeting of the whole convolution by the definition: pad, stride, dilate, multiply. */
function everything(g) {
  const all = [];
  const [c, o] = [g.in_channels / g.groups, g.out_channels / g.groups];
  for (let n = 0; n < g.batch; n++) {
    for (let group = 0; group < g.groups; group++) {
      for (let a = 0; a < o; a++) {
        for (let b = 0; b < c; b++) {
          for (const output of indices(g.out)) {
            for (const tap of indices(g.kernel)) {
              const padded = output.map((i, axis) => i * g.stride[axis] + tap[axis] * g.dilation[axis]);
              const input = padded.map((p, axis) => p - g.before[axis]);
              if (input.some((j, axis) => j < 0 || j >= g.in[axis])) continue;
              all.push({ X: [n, group * c + b, ...input], W: [group * o + a, b, ...tap], Y: [n, group * o + a, ...output] });
            }
          }
        }
      }
    }
  }
  return all;
}

const spelled = (list) => list.map((met) => JSON.stringify([met.X, met.W, met.Y])).sort();

for (const dims of [0, 1, 2, 3]) {
  test(`what meets in each cell, ${dims} axes`, () => {
    const draw = generator(dims + 1);
    for (let round = 0; round < (dims === 3 ? 2 : 12); round++) {
      const g = drawn(draw, dims);
      const all = everything(g);
      for (const role of ["X", "W", "Y"]) {
        const cells = new Map();
        for (const met of all) cells.set(String(met[role]), [...(cells.get(String(met[role])) ?? []), met]);
        for (const [cell, expected] of cells) {
          assert.deepEqual(spelled(meetings(g, role, cell.split(",").map(Number))), spelled(expected));
        }
      }
    }
  });
}

test("a cell that no window reads has no terms", () => {
  const g = {
    batch: 1,
    groups: 1,
    in_channels: 1,
    out_channels: 1,
    kernel: [1],
    stride: [2],
    before: [0],
    dilation: [1],
    in: [4],
    out: [2],
  };
  assert.deepEqual(meetings(g, "X", [0, 0, 1]), []);
});

test("a pool's windows, and the windows around an input", () => {
  const g = { kernel: [3, 2], stride: [2, 1], before: [1, 0], dilation: [1, 2], in: [5, 6], out: [3, 4] };
  for (const input of indices(g.in)) {
    const around = indices(g.out).filter((at) => windowOf(g, at).some((x) => String(x) === String(input)));
    assert.deepEqual(windowsAround(g, input).map(String).sort(), around.map(String).sort());
  }
});

test("adaptive windows cover every input", () => {
  const g = { in: [7, 5], out: [3, 4] };
  const seen = new Set(indices(g.out).flatMap((at) => adaptiveWindow(g, at).map(String)));
  assert.equal(seen.size, 35);
  assert.deepEqual(adaptiveWindow({ in: [7], out: [3] }, [1]), [[2], [3], [4]]);
});

test("places and indices", () => {
  const shape = [2, 3, 4];
  indices(shape).forEach((index, flat) => {
    assert.equal(flatten(shape, index), flat);
    assert.deepEqual(unflatten(shape, flat), index);
  });
  assert.deepEqual(indices([]), [[]]);
  assert.deepEqual(broadcastIndex([3, 1], [5, 2, 7]), [2, 0]);
});

test("where a broadcast cell went", () => {
  const result = [2, 3, 4];
  for (const shape of [[], [4], [1], [3, 1], [1, 4], [2, 1, 4], [2, 3, 4]]) {
    for (const cell of indices(shape)) {
      const expected = indices(result).filter((at) => String(broadcastIndex(shape, at)) === String(cell));
      assert.deepEqual(spreadIndex(shape, cell, result), expected);
    }
  }
});

test("one of each list, in every way", () => {
  assert.deepEqual(
    combined([["a", "b"], ["c"], ["d", "e"]]).map((picks) => picks.join("")),
    ["acd", "ace", "bcd", "bce"],
  );
  assert.deepEqual(combined([["a"], []]), []);
});

test("numbers are written to 6 digits", () => {
  assert.equal(format(0.123456789), "0.123457");
  assert.equal(format(1234567.8), "1234570");
  assert.equal(format(-1.5e-9), "-1.5e-9");
  assert.equal(format(undefined), "?");
  assert.equal(format(-Infinity), "-inf");
  assert.ok(agrees(1.0000001, 1, 1));
  assert.ok(!agrees(1.001, 1, 1));
});

test("a picture has a place for each number, once", () => {
  for (const shape of [[], [7], [1, 130], [3, 4], [2, 3, 4], [1, 5, 2, 3], [2, 3, 2, 2], [2, 2, 2, 2, 2]]) {
    const { tiles, rows, columns, at } = arrange(shape);
    const seen = [];
    for (let tile = 0; tile < tiles; tile++) {
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          const index = at(tile, row, column);
          if (index) seen.push(flatten(shape, index));
        }
      }
    }
    assert.deepEqual(
      seen,
      Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i),
    );
  }
});

test("colours part at zero", () => {
  assert.equal(shade(0, 5), 0);
  assert.equal(shade(5, 5), 1);
  assert.equal(shade(-5, 5), -1);
  assert.equal(shade(3, 0), 0);
});

test("both languages have every word", () => {
  assert.deepEqual(Object.keys(WORDS.zh).sort(), Object.keys(WORDS.en).sort());
  assert.equal(speaker("en")("shutCount", { shut: 2, all: 5 }), "2 of 5 shut");
});
