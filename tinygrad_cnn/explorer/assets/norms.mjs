/**
 * Accounts of ops that see more than their own cell by its statistics: normalizations and softmax.
 *
 * @typedef {import("./explain.mjs").Explainer} Explainer
 * @typedef {import("./explain.mjs").Explanation} Explanation
 */

import { indices } from "./arithmetic.mjs";

/**
 * @param {Explainer} ex
 * @param {Explanation} e
 * @param {number} argument
 */
export function batchNorm(ex, e, argument) {
  const c = argument > 0 ? e.index[0] : e.index[1];
  const mean = ex.read("extra:mean", [c]);
  const rstd = ex.read("extra:rstd", [c]);
  const weight = ex.node.rule.affine ? ex.read("in:1", [c]) : 1;
  if (mean === undefined || rstd === undefined || weight === undefined) return e;
  const { relu } = ex.node.rule;
  const normal = (/** @type {number[]} */ at) => {
    const x = ex.read("in:0", at);
    return x === undefined ? undefined : (x - mean) * rstd;
  };
  if (argument > 0) {
    const places = indices(ex.node.shape.filter((_, axis) => axis !== 1));
    const terms = places.map(([n, ...place]) => {
      const at = [n, c, ...place];
      /** @type {[string, number[]][]} */
      const cells = relu ? [["grad", at], ["extra:mask", at]] : [["grad", at]];
      return ex.term(cells, {}, argument === 1 ? { name: "xhat", value: normal(at) } : undefined);
    });
    const [ofWeight, ofBias] = relu ? ["gyGateXhat", "gyGate"] : ["gyXhat", ""];
    e.note = argument === 1 ? ofWeight : ofBias;
    return ex.summed(e, terms);
  }
  const x = ex.read("in:0", e.index);
  const xhat = normal(e.index);
  e.lines = [
    ["x", x],
    [`mean[${c}]`, mean],
    [`rstd[${c}]`, rstd],
    ["xhat = (x - mean) * rstd", xhat],
    [`weight[${c}]`, weight],
  ];
  e.lit["in:0"] = [e.index];
  if (x === undefined || xhat === undefined) return e;
  if (argument < 0) {
    const bias = ex.node.rule.affine ? ex.read("in:2", [c]) : 0;
    if (bias === undefined) return e;
    e.lines.push([`bias[${c}]`, bias]);
    e.note = relu ? "y = max(0, xhat * weight + bias)" : "y = xhat * weight + bias";
    const affine = xhat * weight + bias;
    return Object.assign(e, {
      sum: relu ? Math.max(0, affine) : affine,
      magnitude: (Math.abs(x) + Math.abs(mean)) * rstd * Math.abs(weight) + Math.abs(bias),
    });
  }
  const gy = ex.read("grad", e.index);
  const gate = relu ? ex.read("extra:mask", e.index) : 1;
  const mean1 = ex.read("extra:mean_gxhat", [c]);
  const mean2 = ex.read("extra:mean_gxhat_xhat", [c]);
  if (gy === undefined || gate === undefined || mean1 === undefined || mean2 === undefined) return e;
  const gxhat = gate === 0 ? 0 : gy * weight;
  e.lit.grad = [e.index];
  e.lines.push(["gy", gy]);
  if (relu) e.lines.push(["gate = (y > 0)", gate]);
  e.lines.push([relu ? "gxhat = gy * gate * weight" : "gxhat = gy * weight", gxhat]);
  e.lines.push(["mean of gxhat", mean1], ["mean of (gxhat * xhat)", mean2]);
  e.note = "gx = rstd * (gxhat - mean of gxhat - xhat * mean of (gxhat * xhat))";
  const magnitude = 4 * rstd * (Math.abs(gxhat) + Math.abs(mean1) + Math.abs(xhat * mean2));
  return Object.assign(e, { sum: rstd * (gxhat - mean1 - xhat * mean2), magnitude });
}

/**
 * @param {Explainer} ex
 * @param {Explanation} e
 * @param {number} argument
 */
export function localResponse(ex, e, argument) {
  const { size, alpha, beta, k } = ex.node.rule;
  const [n, c, ...place] = e.index;
  const at = (/** @type {number} */ channel) => [n, channel, ...place];
  const around = (/** @type {number} */ from, /** @type {number} */ to) =>
    Array.from({ length: to - from + 1 }, (_, i) => from + i).filter((i) => i >= 0 && i < ex.node.shape[1]);
  const before = Math.floor(size / 2);
  const after = Math.floor((size - 1) / 2);
  const x = ex.read("in:0", e.index);
  const d = ex.read("extra:d", e.index);
  if (x === undefined || d === undefined) return e;
  if (argument < 0) {
    const window = around(c - before, c + after).map(at);
    e.lit["in:0"] = window;
    const squares = window.map((i) => ex.read("in:0", i));
    e.missing = squares.filter((v) => v === undefined).length;
    const total = squares.reduce((sum, v) => /** @type {number} */ (sum) + (v ?? 0) ** 2, 0);
    const computed = k + (alpha / size) * /** @type {number} */ (total);
    e.lines = [
      ["x", x],
      [`sum of x^2 over ${window.length} channels`, total],
      ["d = k + alpha / size * sum", computed],
      ["d, recorded", d],
    ];
    e.note = "y = x / d^beta";
    const sum = e.missing ? null : x / computed ** beta;
    return Object.assign(e, { sum, magnitude: Math.abs(sum ?? 0) });
  }
  const gy = ex.read("grad", e.index);
  const window = around(c - after, c + before).map(at);
  e.lit.grad = window;
  e.lit["in:0"] = window;
  const coupled = window.map((i) => {
    const [g, v, s] = [ex.read("grad", i), ex.read("in:0", i), ex.read("extra:d", i)];
    return g === undefined || v === undefined || s === undefined ? undefined : (g * v) / s ** (beta + 1);
  });
  e.missing = coupled.filter((v) => v === undefined).length;
  if (gy === undefined || e.missing) return e;
  const total = /** @type {number} */ (coupled.reduce((sum, v) => /** @type {number} */ (sum) + /** @type {number} */ (v), 0));
  const own = gy / d ** beta;
  const shared = ((2 * alpha) / size) * beta * x * total;
  e.lines = [
    ["gy / d^beta", own],
    ["S' = sum of gy x / d^(beta + 1) over the window", total],
    ["2 alpha / size * beta * x * S'", shared],
  ];
  e.note = "gx = gy / d^beta - 2 alpha / size * beta * x * S'";
  return Object.assign(e, { sum: own - shared, magnitude: 4 * (Math.abs(own) + Math.abs(shared)) });
}

/**
 * p - y: what the loss knows of a score.
 * @param {Explainer} ex
 * @param {Explanation} e
 * @param {number} argument
 */
export function logSoftmax(ex, e, argument) {
  const { dim } = ex.node.rule;
  const classes = ex.node.shape[dim];
  const at = (/** @type {number} */ i) => e.index.map((j, axis) => (axis === dim ? i : j));
  const all = Array.from({ length: classes }, (_, i) => at(i));
  e.lit["in:0"] = all;
  const log = ex.read("value", e.index);
  if (argument < 0) {
    const scores = all.map((i) => ex.read("in:0", i));
    if (scores.some((s) => s === undefined)) return e;
    const known = /** @type {number[]} */ (scores);
    const top = Math.max(...known);
    const total = top + Math.log(known.reduce((sum, s) => sum + Math.exp(s - top), 0));
    const own = /** @type {number} */ (ex.read("in:0", e.index));
    e.lines = [
      ["x", own],
      ["log of the sum of e^x", total],
      ["p = e^y", Math.exp(log ?? NaN)],
    ];
    e.note = "y = x - log of the sum of e^x";
    return Object.assign(e, { sum: own - total, magnitude: Math.abs(own) + Math.abs(total) });
  }
  e.lit.grad = all;
  const given = all.map((i) => ex.read("grad", i));
  if (log === undefined || given.some((g) => g === undefined)) return e;
  const total = /** @type {number[]} */ (given).reduce((sum, g) => sum + g, 0);
  const gy = /** @type {number} */ (ex.read("grad", e.index));
  const p = Math.exp(log);
  e.lines = [
    ["p = e^y", p],
    ["gy", gy],
    ["sum of gy", total],
  ];
  // From a cross-entropy, gy is -w at the target and 0 elsewhere: gx is w (p - 1) there and w p elsewhere.
  const others = given.filter((g) => g !== 0).length;
  if (others === 1 && total < 0) {
    e.lines.push(["y", gy === 0 ? 0 : 1], ["p - y", p - (gy === 0 ? 0 : 1)], ["w", -total]);
    e.note = "gx = w * (p - y)";
  } else e.note = "gx = gy - p * sum of gy";
  return Object.assign(e, { sum: gy - p * total, magnitude: Math.abs(gy) + Math.abs(p * total) });
}

/**
 * Softmax: each output depends on every input along its dimension.
 * @param {Explainer} ex
 * @param {Explanation} e
 * @param {number} argument
 */
export function softmax(ex, e, argument) {
  const { dim } = ex.node.rule;
  const all = Array.from({ length: ex.node.shape[dim] }, (_, i) => e.index.map((j, axis) => (axis === dim ? i : j)));
  const key = argument < 0 ? "in:0" : "grad";
  e.lit[key] = all;
  const read = all.map((at) => ex.read(key, at));
  if (read.some((v) => v === undefined)) return e;
  const known = /** @type {number[]} */ (read);
  const own = /** @type {number} */ (ex.read(key, e.index));
  if (argument < 0) {
    const top = Math.max(...known);
    const total = known.reduce((sum, x) => sum + Math.exp(x - top), 0);
    e.lines = [
      ["x", own],
      ["largest x", top],
      ["e^(x - largest)", Math.exp(own - top)],
      ["sum of e^(x - largest)", total],
    ];
    e.note = "y = e^(x - largest) / sum of e^(x - largest)";
    // The exponent is rounded to float32, relative to the numbers that it is the difference of.
    const sum = Math.exp(own - top) / total;
    return Object.assign(e, { sum, magnitude: sum * (1 + Math.abs(own) + Math.abs(top)) });
  }
  const values = all.map((at) => ex.read("value", at));
  if (values.some((v) => v === undefined)) return e;
  const products = /** @type {number[]} */ (values).map((y, i) => y * known[i]);
  const total = products.reduce((sum, product) => sum + product, 0);
  const y = /** @type {number} */ (ex.read("value", e.index));
  e.lines = [
    ["y", y],
    ["gy", own],
    ["sum of gy * y", total],
  ];
  e.note = "gx = y * (gy - sum of gy * y)";
  const magnitude = y * (Math.abs(own) + products.reduce((sum, product) => sum + Math.abs(product), 0));
  return Object.assign(e, { sum: y * (own - total), magnitude });
}

/**
 * Rows brought to mean 0 and variance 1: what group, instance and layer normalization share.
 * @param {Explainer} ex
 * @param {Explanation} e
 * @param {number} argument
 */
export function standardize(ex, e, argument) {
  const row = e.index[0];
  const [x, mean, rstd] = [ex.read("in:0", e.index), ex.read("extra:mean", [row]), ex.read("extra:rstd", [row])];
  if (x === undefined || mean === undefined || rstd === undefined) return e;
  const y = (x - mean) * rstd;
  e.lit["in:0"] = [e.index];
  e.lines = [
    ["x", x],
    [`mean[${row}]`, mean],
    [`rstd[${row}]`, rstd],
  ];
  if (argument < 0) {
    e.note = "y = (x - mean) * rstd";
    return Object.assign(e, { sum: y, magnitude: (Math.abs(x) + Math.abs(mean)) * rstd });
  }
  const gy = ex.read("grad", e.index);
  const [mean1, mean2] = [ex.read("extra:mean_gy", [row]), ex.read("extra:mean_gy_y", [row])];
  if (gy === undefined || mean1 === undefined || mean2 === undefined) return e;
  e.lit.grad = [e.index];
  e.lines.push(["y", y], ["gy", gy], ["mean of gy", mean1], ["mean of (gy * y)", mean2]);
  e.note = "gx = rstd * (gy - mean of gy - y * mean of (gy * y))";
  const magnitude = 4 * rstd * (Math.abs(gy) + Math.abs(mean1) + Math.abs(y * mean2));
  return Object.assign(e, { sum: rstd * (gy - mean1 - y * mean2), magnitude });
}

/**
 * A scale and a shift for each channel.
 * @param {Explainer} ex
 * @param {Explanation} e
 * @param {number} argument
 */
export function affine(ex, e, argument) {
  if (argument < 0) {
    const c = [e.index[1]];
    /** @type {[string, number[]][]} */
    const product = [
      ["in:0", e.index],
      ["in:1", c],
    ];
    return ex.summed(e, [ex.term(product), ex.term([["in:2", c]])]);
  }
  if (argument === 0) {
    /** @type {[string, number[]][]} */
    const product = [
      ["grad", e.index],
      ["in:1", [e.index[1]]],
    ];
    return ex.summed(e, [ex.term(product)]);
  }
  const places = indices(ex.node.shape.filter((_, axis) => axis !== 1));
  const terms = places.map(([n, ...place]) => {
    const at = [n, e.index[0], ...place];
    /** @type {[string, number[]][]} */
    const cells = [
      ["grad", at],
      ["in:0", at],
    ];
    return ex.term(argument === 1 ? cells : cells.slice(0, 1));
  });
  return ex.summed(e, terms);
}
