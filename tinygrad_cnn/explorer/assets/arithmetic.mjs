/**
 * Which numbers meet in a convolution: index arithmetic, and nothing else.
 *
 * Along one axis, output position i reads input position i * stride + t * dilation - before under tap t. Everything here
 * is that line, solved for one of its three unknowns. X is the input (n, c, ...), W the kernel (o, c / groups, ...), Y
 * the output (n, o, ...); any number of spatial axes, also none, which is the fully connected layer.
 *
 * @typedef {{
 *   batch: number, in_channels: number, out_channels: number, groups: number, kernel: number[], stride: number[],
 *   before: number[], dilation: number[], in: number[], out: number[],
 * }} Geometry
 * @typedef {"X" | "W" | "Y"} Role
 * @typedef {{ X: number[], W: number[], Y: number[] }} Meeting
 * @typedef {{ kernel: number[], stride: number[], before: number[], dilation: number[], in: number[], out: number[] }} Windows
 */

/**
 * Every index of an array of these sizes, the last axis moving fastest.
 * @param {number[]} sizes
 * @returns {number[][]}
 */
export function indices(sizes) {
  /** @type {number[][]} */
  let all = [[]];
  for (const size of sizes) {
    all = all.flatMap((head) => Array.from({ length: size }, (_, i) => [...head, i]));
  }
  return all;
}

/**
 * The input position that an output reads under a tap; null where that is padding.
 * @param {Windows | Geometry} g
 * @param {number[]} output
 * @param {number[]} tap
 * @returns {number[] | null}
 */
export function inputAt(g, output, tap) {
  const at = output.map((i, a) => i * g.stride[a] + tap[a] * g.dilation[a] - g.before[a]);
  return at.every((j, a) => j >= 0 && j < g.in[a]) ? at : null;
}

/**
 * The output position that reads an input under a tap; null where none does.
 * @param {Windows | Geometry} g
 * @param {number[]} input
 * @param {number[]} tap
 * @returns {number[] | null}
 */
export function outputAt(g, input, tap) {
  const at = input.map((j, a) => (j + g.before[a] - tap[a] * g.dilation[a]) / g.stride[a]);
  return at.every((i, a) => Number.isInteger(i) && i >= 0 && i < g.out[a]) ? at : null;
}

/**
 * Every triple of an input, a tap and an output that meet in one cell of the named array: the terms of its sum.
 * @param {Geometry} g
 * @param {Role} role
 * @param {number[]} index
 * @returns {Meeting[]}
 */
export function meetings(g, role, index) {
  const perGroup = { c: g.in_channels / g.groups, o: g.out_channels / g.groups };
  const [first, second, ...place] = index;
  /** @type {Meeting[]} */
  const found = [];
  if (role === "Y") {
    const group = Math.floor(second / perGroup.o);
    for (let c = 0; c < perGroup.c; c++) {
      for (const tap of indices(g.kernel)) {
        const at = inputAt(g, place, tap);
        if (at) found.push({ X: [first, group * perGroup.c + c, ...at], W: [second, c, ...tap], Y: index });
      }
    }
  } else if (role === "X") {
    const group = Math.floor(second / perGroup.c);
    for (let o = group * perGroup.o; o < (group + 1) * perGroup.o; o++) {
      for (const tap of indices(g.kernel)) {
        const at = outputAt(g, place, tap);
        if (at) found.push({ X: index, W: [o, second % perGroup.c, ...tap], Y: [first, o, ...at] });
      }
    }
  } else {
    const channel = Math.floor(first / perGroup.o) * perGroup.c + second;
    for (let n = 0; n < g.batch; n++) {
      for (const output of indices(g.out)) {
        const at = inputAt(g, output, place);
        if (at) found.push({ X: [n, channel, ...at], W: index, Y: [n, first, ...output] });
      }
    }
  }
  return found;
}

/**
 * The input positions of a pool's window.
 * @param {Windows} g
 * @param {number[]} output
 * @returns {number[][]}
 */
export function windowOf(g, output) {
  return indices(g.kernel).flatMap((tap) => {
    const at = inputAt(g, output, tap);
    return at ? [at] : [];
  });
}

/**
 * The output positions whose windows hold an input; one that holds it under several taps comes as often.
 * @param {Windows} g
 * @param {number[]} input
 * @returns {number[][]}
 */
export function windowsAround(g, input) {
  return indices(g.kernel).flatMap((tap) => {
    const at = outputAt(g, input, tap);
    return at ? [at] : [];
  });
}

/**
 * The input positions of an adaptive pool's window: from floor(i in / out) to ceil((i + 1) in / out).
 * @param {{ in: number[], out: number[] }} g
 * @param {number[]} output
 * @returns {number[][]}
 */
export function adaptiveWindow(g, output) {
  const starts = output.map((i, a) => Math.floor((i * g.in[a]) / g.out[a]));
  const sizes = output.map((i, a) => Math.ceil(((i + 1) * g.in[a]) / g.out[a]) - starts[a]);
  return indices(sizes).map((offset) => offset.map((step, a) => starts[a] + step));
}

/**
 * The place of an index in row-major order.
 * @param {number[]} shape
 * @param {number[]} index
 */
export function flatten(shape, index) {
  return index.reduce((flat, i, axis) => flat * shape[axis] + i, 0);
}

/**
 * The index of a place in row-major order.
 * @param {number[]} shape
 * @param {number} flat
 * @returns {number[]}
 */
export function unflatten(shape, flat) {
  const index = new Array(shape.length);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index[axis] = flat % shape[axis];
    flat = Math.floor(flat / shape[axis]);
  }
  return index;
}

/**
 * The index of a broadcast operand behind a cell of the result.
 * @param {number[]} shape the operand's
 * @param {number[]} index of the result
 * @returns {number[]}
 */
export function broadcastIndex(shape, index) {
  const skipped = index.length - shape.length;
  return shape.map((size, axis) => (size === 1 ? 0 : index[axis + skipped]));
}

/**
 * The cells of a result that a cell of a broadcast operand went to.
 * @param {number[]} shape the operand's
 * @param {number[]} index of the operand
 * @param {number[]} result the result's shape
 * @returns {number[][]}
 */
export function spreadIndex(shape, index, result) {
  const skipped = result.length - shape.length;
  const free = result.map((_, axis) => axis < skipped || shape[axis - skipped] === 1);
  const offsets = indices(result.map((size, axis) => (free[axis] ? size : 1)));
  return offsets.map((offset) => offset.map((i, axis) => (free[axis] ? i : index[axis - skipped])));
}

/**
 * Every way to take one of each list, the last list moving fastest.
 * @template T
 * @param {T[][]} lists
 * @returns {T[][]}
 */
export function combined(lists) {
  return indices(lists.map((list) => list.length)).map((picks) => picks.map((pick, i) => lists[i][pick]));
}

/**
 * Each index once, in the order of their first coming.
 * @param {number[][]} list
 * @returns {number[][]}
 */
export function unique(list) {
  return [...new Map(list.map((index) => [String(index), index])).values()];
}

/**
 * An index as it is written.
 * @param {string} name
 * @param {(number | string)[]} index
 */
export function spell(name, index) {
  return index.length ? `${name}[${index.join(", ")}]` : name;
}
