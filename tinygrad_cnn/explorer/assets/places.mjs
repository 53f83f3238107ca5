/**
 * Accounts of ops that compute cell by cell, add cells up, pick one of them, or only put them elsewhere.
 *
 * @typedef {import("./explain.mjs").Explainer} Explainer
 * @typedef {import("./explain.mjs").Explanation} Explanation
 */

import { broadcastIndex, combined, flatten, spreadIndex, unflatten } from "./arithmetic.mjs";

/** @typedef {{ value: (x: number) => number, slope: (x: number, y: number) => number }} Single */

/**
 * Functions of one number: the value, and the slope that a gradient is multiplied by.
 * @type {Record<string, Single>}
 */
const SINGLE = {
  Neg: { value: (x) => -x, slope: () => -1 },
  Exp: { value: Math.exp, slope: (_, y) => y },
  Log: { value: Math.log, slope: (x) => 1 / x },
  Sqrt: { value: Math.sqrt, slope: (_, y) => 0.5 / y },
  Abs: { value: Math.abs, slope: Math.sign },
  Tanh: { value: Math.tanh, slope: (_, y) => 1 - y * y },
  Sigmoid: { value: (x) => 1 / (1 + Math.exp(-x)), slope: (_, y) => y * (1 - y) },
};

/** Other ops whose output cells each come from the input cells of the same index: these light up, and no more. */
const SAME_PLACE = /^(Pow|Maximum|Minimum|LeakyReLU|ScaledTanh|GELU|SiLU)$/;

/**
 * Ops without a rule of their own, by their name.
 * @param {Explainer} ex
 * @param {Explanation} e
 * @param {number} argument -1 for the op's output
 * @returns {Explanation}
 */
export function byName(ex, e, argument) {
  const { name } = ex.node;
  if (name in SINGLE) return single(ex, e, argument, SINGLE[name], "dy/dx");
  if (/^(Add|Sub|Mul|Div)$/.test(name)) return pair(ex, e, argument);
  if (name === "Reshape") {
    const [own, other, key] = argument < 0 ? [ex.node.shape, ex.shapes[0], "in:0"] : [ex.shapes[0], ex.node.shape, "grad"];
    return ex.summed(e, [ex.term([[key, unflatten(other, flatten(own, e.index))]])]);
  }
  if (name === "Cat") return cat(ex, e, argument);
  if (!SAME_PLACE.test(name)) return e;
  if (argument < 0) {
    ex.shapes.forEach((shape, i) => (e.lit[`in:${i}`] = [broadcastIndex(shape, e.index)]));
  } else if (String(ex.shapes[argument]) === String(ex.node.shape)) e.lit.grad = [e.index];
  return e;
}

/**
 * @param {Explainer} ex
 * @param {Explanation} e
 * @param {number} argument
 */
export function power(ex, e, argument) {
  const { exponent } = ex.node.rule;
  const slope = (/** @type {number} */ x) => (exponent === 0 ? 0 : exponent * x ** (exponent - 1));
  return single(ex, e, argument, { value: (x) => x ** exponent, slope }, `${exponent} x^${exponent - 1}`);
}

/**
 * @param {Explainer} ex
 * @param {Explanation} e
 * @param {number} argument
 * @param {Single} f
 * @param {string} slopeName
 */
function single(ex, e, argument, f, slopeName) {
  const [x, y] = [ex.read("in:0", e.index), ex.read("value", e.index)];
  e.lit["in:0"] = [e.index];
  if (x === undefined || y === undefined) return e;
  e.lines = [["x", x]];
  if (argument < 0) return Object.assign(e, { sum: f.value(x), magnitude: Math.abs(f.value(x)) });
  e.lines.push(["y", y]);
  ex.summed(e, [ex.term([["grad", e.index]], {}, { name: slopeName, value: f.slope(x, y) })]);
  // A slope such as 1 - y^2 is rounded in proportion to 1, not to itself.
  e.magnitude = Math.max(e.magnitude, Math.abs(ex.read("grad", e.index) ?? 0));
  return e;
}

/**
 * Two operands of equal shapes, or broadcast: the gradient of a broadcast one is the sum over the cells that it went to.
 * @param {Explainer} ex
 * @param {Explanation} e
 * @param {number} argument
 */
function pair(ex, e, argument) {
  const { name, shape } = ex.node;
  const at = (/** @type {number} */ i, /** @type {number[]} */ out) => broadcastIndex(ex.shapes[i], out);
  if (argument < 0) {
    /** @type {[string, number[]][]} */
    const [a, b] = [
      ["in:0", at(0, e.index)],
      ["in:1", at(1, e.index)],
    ];
    if (name === "Mul") return ex.summed(e, [ex.term([a, b])]);
    if (name === "Add") return ex.summed(e, [ex.term([a]), ex.term([b])]);
    if (name === "Sub") return ex.summed(e, [ex.term([a]), ex.term([b], {}, { name: "", value: -1 })]);
    e.lit["in:1"] = [b[1]];
    return ex.summed(e, [ex.term([a], {}, { name: "1 / b", value: inverse(ex.read(...b)) })]);
  }
  const other = 1 - argument;
  const terms = spreadIndex(ex.shapes[argument], e.index, shape).map((out) => {
    if (name === "Add" || (name === "Sub" && argument === 0)) return ex.term([["grad", out]]);
    if (name === "Sub") return ex.term([["grad", out]], {}, { name: "", value: -1 });
    if (name === "Mul") {
      return ex.term([
        ["grad", out],
        [`in:${other}`, at(other, out)],
      ]);
    }
    const b = inverse(ex.read("in:1", at(1, out)));
    if (argument === 0) return ex.term([["grad", out]], {}, { name: "1 / b", value: b });
    const y = ex.read("value", out);
    const slope = y === undefined || b === undefined ? undefined : -y * b;
    return ex.term([["grad", out]], {}, { name: "-y / b", value: slope });
  });
  return ex.summed(e, terms);
}

/** @param {number | undefined} value */
function inverse(value) {
  return value === undefined ? undefined : 1 / value;
}

/**
 * @param {Explainer} ex
 * @param {Explanation} e
 * @param {number} argument
 */
function cat(ex, e, argument) {
  const axis = ex.node.shape.findIndex((size, a) => size !== ex.shapes[0][a]);
  if (axis < 0) return e;
  const starts = ex.shapes.map((_, i) => ex.shapes.slice(0, i).reduce((sum, s) => sum + s[axis], 0));
  const moved = (/** @type {number} */ by) => e.index.map((i, a) => (a === axis ? i + by : i));
  if (argument >= 0) return ex.summed(e, [ex.term([["grad", moved(starts[argument])]])]);
  const source = starts.filter((start) => start <= e.index[axis]).length - 1;
  return ex.summed(e, [ex.term([[`in:${source}`, moved(-starts[source])]])]);
}

/**
 * Sums and means: every cell along the dimensions that are gone; backward, the one cell that it went into.
 * @param {Explainer} ex
 * @param {Explanation} e
 * @param {number} argument
 */
export function reduce(ex, e, argument) {
  const { dims, keepdim, mean } = ex.node.rule;
  const [shape] = ex.shapes;
  const count = dims.reduce((/** @type {number} */ n, /** @type {number} */ dim) => n * shape[dim], 1);
  if (argument < 0) {
    const kept = [...e.index];
    const own = shape.map((_, axis) => (dims.includes(axis) ? (keepdim && kept.shift(), -1) : (kept.shift() ?? 0)));
    const cells = combined(own.map((i, axis) => (i < 0 ? Array.from({ length: shape[axis] }, (_, j) => j) : [i])));
    return ex.summed(
      e,
      cells.map((cell) => ex.term([["in:0", cell]])),
      mean ? 1 / count : 1,
    );
  }
  const out = e.index.flatMap((i, axis) => (dims.includes(axis) ? (keepdim ? [0] : []) : [i]));
  return ex.summed(e, [ex.term([["grad", out]], {}, mean ? { name: `1 / ${count}`, value: 1 / count } : undefined)]);
}

/**
 * Products of matrices, or of stacks of matrices that are broadcast.
 * @param {Explainer} ex
 * @param {Explanation} e
 * @param {number} argument
 */
export function matmul(ex, e, argument) {
  const [a, b] = ex.shapes;
  const stacks = [a, b].map((shape) => shape.slice(0, -2));
  const length = argument < 0 ? a[a.length - 1] : argument === 0 ? b[b.length - 1] : a[a.length - 2];
  const stack = e.index.slice(0, -2);
  const outs = argument < 0 ? [stack] : spreadIndex(stacks[argument], stack, ex.node.shape.slice(0, -2));
  const terms = outs.flatMap((out) =>
    Array.from({ length }, (_, k) => {
      const [i, j] =
        argument < 0 ? e.index.slice(-2) : argument === 0 ? [e.index[e.index.length - 2], k] : [k, e.index[e.index.length - 1]];
      const inner = argument < 0 ? k : e.index[e.index.length - (argument === 0 ? 1 : 2)];
      /** @type {[string, number[]][]} */
      const cells = [
        ["in:0", [...broadcastIndex(stacks[0], out), i, inner]],
        ["in:1", [...broadcastIndex(stacks[1], out), inner, j]],
        ["grad", [...out, i, j]],
      ];
      return ex.term(cells.filter(([key]) => key !== (argument < 0 ? "grad" : `in:${argument}`)));
    }),
  );
  return ex.summed(e, terms);
}

/**
 * Resampling: along each axis an output is a weighted sum of a few inputs; backward, of all outputs that read the input.
 * @param {Explainer} ex
 * @param {Explanation} e
 * @param {number} argument
 */
export function resample(ex, e, argument) {
  const [n, c, ...place] = e.index;
  /** @type {[number, number][][]} */
  const axes = ex.node.rule.taps.map(
    (/** @type {{ index: number[][], weight: number[][] }} */ taps, /** @type {number} */ axis) =>
      taps.index.flatMap((row, out) =>
        row.flatMap((input, k) => {
          const [own, other] = argument < 0 ? [out, input] : [input, out];
          return own === place[axis] && taps.weight[out][k] !== 0 ? [[other, taps.weight[out][k]]] : [];
        }),
      ),
  );
  const terms = combined(axes).map((met) => {
    const weight = met.reduce((product, [, w]) => product * w, 1);
    return ex.term([[argument < 0 ? "in:0" : "grad", [n, c, ...met.map(([at]) => at)]]], {}, { name: "weight", value: weight });
  });
  return ex.summed(e, terms);
}

/**
 * The negative log-likelihood: of each sample, the score of its own class.
 * @param {Explainer} ex
 * @param {Explanation} e
 * @param {number} argument
 */
export function likelihood(ex, e, argument) {
  const [n, ...rest] = e.index;
  const sample = argument < 0 ? e.index : [n, ...rest.slice(1)];
  const target = ex.read("in:1", sample);
  if (target === undefined) return e;
  e.lit["in:1"] = [sample];
  e.lines = [[ex.node.arguments[1], target]];
  e.note = "ownClass";
  if (argument >= 0 && e.index[1] !== target) {
    e.note = "otherClass";
    return ex.summed(e, []);
  }
  /** @type {[string, number[]]} */
  const first = argument < 0 ? ["in:0", [n, target, ...rest]] : ["grad", sample];
  return ex.summed(e, [ex.term([first, ["in:2", sample]], {}, { name: "", value: -1 })]);
}
