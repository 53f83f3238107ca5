/**
 * Why a number is what it is: for a cell of an op's output or of one of its gradients, the numbers that it was made from.
 *
 * The figures of a step have keys: `value` and `grad` are the op's output and its gradient, `in:0`, `in:1`, ... its
 * inputs, `flow:0`, ... what it contributes to their gradients, `extra:d` an array that its rule names, and `part:0`, ...
 * the contributions that add up to `grad`.
 *
 * @typedef {import("./arithmetic.mjs").Geometry} Geometry
 * @typedef {{ key: string, index: number[], value: number | undefined }} Factor
 * @typedef {{ factors: Factor[], product: number | undefined, group?: number, cell?: number[] }} Term
 * @typedef {{ node: string, argument: number, tensor: number | null }} Part
 * @typedef {{
 *   id: string, kind: string, name: string, module: string, shape: number[], dtype: string, value: number | null,
 *   grad: number | null, settings: [string, string][], inputs: string[], arguments: string[], flows: (number | null)[],
 *   rule: any, extra: Record<string, number>, source: string, lane?: number, row?: number,
 * }} Node
 * @typedef {{
 *   key: string, index: number[], recorded: number | undefined, lit: Record<string, number[][]>, terms: Term[],
 *   scale: number, sum: number | null, magnitude: number, missing: number, lines: [string, number | undefined][],
 *   note: string, axes: number[],
 * }} Explanation
 */

import {
  adaptiveWindow,
  broadcastIndex,
  flatten,
  indices,
  meetings,
  unflatten,
  windowOf,
  windowsAround,
} from "./arithmetic.mjs";

/** Ops whose output cells each come from the input cells of the same index. */
const SAME_PLACE = /^(Add|Sub|Mul|Div|Neg|Exp|Log|Tanh|Sigmoid|Pow|Sqrt|Abs|Maximum|Minimum|LeakyReLU|ScaledTanh|GELU|SiLU)$/;

/** Explains the cells of one op. */
export class Explainer {
  /**
   * @param {Node} node
   * @param {Map<string, Node>} nodes
   * @param {import("./numbers.mjs").Numbers} numbers
   * @param {Part[]} parts what adds up to the gradient of the op's output
   */
  constructor(node, nodes, numbers, parts) {
    this.node = node;
    this.nodes = nodes;
    this.numbers = numbers;
    this.parts = parts;
  }

  /**
   * The number of the tensor that a figure shows.
   * @param {string} key
   * @returns {number | null}
   */
  tensor(key) {
    const [kind, which] = key.split(":");
    if (kind === "value") return this.node.value;
    if (kind === "grad") return this.node.grad;
    if (kind === "in") return this.nodes.get(this.node.inputs[Number(which)])?.value ?? null;
    if (kind === "flow") return this.node.flows[Number(which)];
    if (kind === "part") return this.parts[Number(which)].tensor;
    return this.node.extra[which] ?? null;
  }

  /**
   * @param {string} key
   * @param {number[]} index
   */
  read(key, index) {
    return this.numbers.read(this.tensor(key), index);
  }

  /**
   * Everything there is to say about a cell.
   * @param {string} key
   * @param {number[]} index
   * @returns {Explanation}
   */
  explain(key, index) {
    /** @type {Explanation} */
    const blank = {
      key,
      index,
      recorded: this.read(key, index),
      lit: { [key]: [index] },
      terms: [],
      scale: 1,
      sum: null,
      magnitude: 0,
      missing: 0,
      lines: [],
      note: "",
      axes: [],
    };
    const [kind, which] = key.split(":");
    if (kind === "grad" && this.parts.length > 1) return this.fanOut(blank);
    const rule = this.node.rule?.kind;
    if (kind === "value" || kind === "flow") {
      const argument = kind === "flow" ? Number(which) : -1;
      if (rule === "conv") return this.conv(blank, argument);
      if (rule === "choose") return this.choose(blank, argument);
      if (rule === "average") return this.average(blank, argument);
      if (rule === "mask") return this.mask(blank, argument);
      if (rule === "batchnorm") return this.batchNorm(blank, argument);
      if (rule === "lrn") return this.localResponse(blank, argument);
      if (rule === "logsoftmax") return this.logSoftmax(blank, argument);
      return this.samePlace(blank, argument);
    }
    if (kind === "in" && rule === "conv" && Number(which) < 2) return this.users(blank, Number(which));
    return blank;
  }

  /**
   * Light up what the terms are made of, and add them up.
   * @param {Explanation} e
   * @param {Term[]} terms
   * @param {number} scale
   * @returns {Explanation}
   */
  summed(e, terms, scale = 1) {
    let sum = 0;
    for (const term of terms) {
      for (const { key, index } of term.factors) {
        if (key) (e.lit[key] ??= []).push(index);
      }
      if (term.product === undefined) e.missing++;
      else {
        sum += term.product;
        e.magnitude += Math.abs(term.product * scale);
      }
    }
    for (const key of Object.keys(e.lit)) e.lit[key] = unique(e.lit[key]);
    return Object.assign(e, { terms, scale, sum: sum * scale });
  }

  /**
   * @param {[string, number[]][]} cells
   * @param {{ group?: number, cell?: number[] }} [place]
   * @returns {Term}
   */
  term(cells, place = {}) {
    const factors = cells.map(([key, index]) => ({ key, index, value: this.read(key, index) }));
    const product = factors.some((f) => f.value === undefined)
      ? undefined
      : factors.reduce((value, f) => value * /** @type {number} */ (f.value), 1);
    return { factors, product, ...place };
  }

  /**
   * The contributions of all who used the value.
   * @param {Explanation} e
   */
  fanOut(e) {
    e.note = "fanout";
    return this.summed(
      e,
      this.parts.map((_, i) => this.term([[`part:${i}`, e.index]])),
    );
  }

  /**
   * @param {Explanation} e
   * @param {number} argument -1 for the op's output
   */
  conv(e, argument) {
    const { roles, out, geometry } = this.node.rule;
    if (argument === 2) {
      const places = indices(this.node.shape.filter((_, axis) => axis !== 1));
      const cells = places.map(([n, ...place]) => this.term([["grad", [n, e.index[0], ...place]]]));
      return this.summed(e, cells);
    }
    const role = argument < 0 ? out : roles[argument];
    // The other two of the three: in the forward pass the inputs, else the output's gradient and the other input.
    const others = [out, ...roles].filter((r) => r !== role);
    const order = role === "W" ? ["X", "Y"] : role === "Y" ? ["X", "W"] : ["Y", "W"];
    others.sort((a, b) => order.indexOf(a) - order.indexOf(b));
    const keyOf = (/** @type {string} */ r) => (r === out ? "grad" : `in:${roles.indexOf(r)}`);
    const terms = meetings(geometry, role, e.index).map((met) => {
      const place = role === "W" ? met.Y : met.W;
      const group = role === "W" ? met.Y[0] : role === "Y" ? met.X[1] : met.Y[1];
      const cells = others.map((r) => /** @type {[string, number[]]} */ ([keyOf(r), met[/** @type {"X"} */ (r)]]));
      return this.term(cells, { group, cell: place.slice(2) });
    });
    if (argument < 0 && this.node.inputs.length > 2) terms.push(this.term([["in:2", [e.index[1]]]]));
    e.axes = role === "W" ? geometry.out : geometry.kernel;
    e.note = role === "W" ? "images" : (role === "Y") === (out === "Y") ? "inputChannels" : "outputChannels";
    return this.summed(e, terms);
  }

  /**
   * An input of a convolution: the outputs that it goes into.
   * @param {Explanation} e
   * @param {number} argument
   */
  users(e, argument) {
    const { roles, out, geometry } = this.node.rule;
    const met = meetings(geometry, roles[argument], e.index);
    const cells = unique(met.map((m) => m[/** @type {"X"} */ (out)]));
    e.lit.value = e.lit.grad = cells;
    e.note = "goesInto";
    e.missing = cells.length;
    return e;
  }

  /**
   * @param {Explanation} e
   * @param {number} argument
   */
  choose(e, argument) {
    const [n, c, ...place] = e.index;
    const rule = this.node.rule;
    if (argument < 0) {
      const flat = this.read("extra:indices", e.index);
      if (flat === undefined) return e;
      const chosen = [n, c, ...unflatten(rule.in, flat)];
      this.summed(e, [this.term([["in:0", chosen]])]);
      if (rule.geometry) {
        const cells = windowOf(rule.geometry, place).map((at) => [n, c, ...at]);
        e.lit["in:0"] = cells;
        e.lit["chosen"] = [chosen];
        e.lines = cells.map((at) => /** @type {[string, number | undefined]} */ ([spell("in:0", at), this.read("in:0", at)]));
      }
      e.note = "maximum";
      return e;
    }
    const flat = flatten(rule.in, place);
    const winners = indices(this.node.shape.slice(2))
      .map((at) => [n, c, ...at])
      .filter((at) => this.read("extra:indices", at) === flat);
    e.note = winners.length ? "wasMaximum" : "wasNot";
    return this.summed(
      e,
      winners.map((at) => this.term([["grad", at]])),
    );
  }

  /**
   * @param {Explanation} e
   * @param {number} argument
   */
  average(e, argument) {
    const [n, c, ...place] = e.index;
    const { geometry, adaptive } = this.node.rule;
    const divisor = (/** @type {number[]} */ at) =>
      (geometry ? this.read("extra:divisor", at) : adaptiveWindow(adaptive, at).length) ?? NaN;
    if (argument < 0) {
      const cells = geometry ? windowOf(geometry, place) : adaptiveWindow(adaptive, place);
      return this.summed(
        e,
        cells.map((at) => this.term([["in:0", [n, c, ...at]]])),
        1 / divisor(place),
      );
    }
    const outputs = geometry
      ? windowsAround(geometry, place)
      : indices(adaptive.out).filter((at) => adaptiveWindow(adaptive, at).some((x) => String(x) === String(place)));
    const terms = outputs.map((at) => {
      const share = { key: "", index: [], value: 1 / divisor(at) };
      const term = this.term([["grad", [n, c, ...at]]]);
      const product = term.product === undefined ? undefined : term.product * share.value;
      return { factors: [...term.factors, share], product };
    });
    return this.summed(e, terms);
  }

  /**
   * ReLU and dropout: passed, or shut.
   * @param {Explanation} e
   * @param {number} argument
   */
  mask(e, argument) {
    const gate = this.read("extra:mask", e.index);
    e.note = gate === 0 ? "shut" : "open";
    return this.summed(e, [
      this.term([
        [argument < 0 ? "in:0" : "grad", e.index],
        ["extra:mask", e.index],
      ]),
    ]);
  }

  /**
   * @param {Explanation} e
   * @param {number} argument
   */
  batchNorm(e, argument) {
    const c = argument > 0 ? e.index[0] : e.index[1];
    const mean = this.read("extra:mean", [c]);
    const rstd = this.read("extra:rstd", [c]);
    const weight = this.node.rule.affine ? this.read("in:1", [c]) : 1;
    if (mean === undefined || rstd === undefined || weight === undefined) return e;
    const normal = (/** @type {number[]} */ at) => {
      const x = this.read("in:0", at);
      return x === undefined ? undefined : (x - mean) * rstd;
    };
    if (argument > 0) {
      const places = indices(this.node.shape.filter((_, axis) => axis !== 1));
      const terms = places.map(([n, ...place]) => {
        const at = [n, c, ...place];
        const term = this.term([["grad", at]]);
        if (argument === 2) return term;
        const xhat = normal(at);
        const product = term.product === undefined || xhat === undefined ? undefined : term.product * xhat;
        return { factors: [...term.factors, { key: "", index: [], value: xhat }], product };
      });
      e.note = argument === 1 ? "gyXhat" : "";
      return this.summed(e, terms);
    }
    const x = this.read("in:0", e.index);
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
      const bias = this.node.rule.affine ? this.read("in:2", [c]) : 0;
      if (bias === undefined) return e;
      e.lines.push([`bias[${c}]`, bias]);
      e.note = "y = xhat * weight + bias";
      return Object.assign(e, {
        sum: xhat * weight + bias,
        magnitude: (Math.abs(x) + Math.abs(mean)) * rstd * Math.abs(weight) + Math.abs(bias),
      });
    }
    const gy = this.read("grad", e.index);
    const mean1 = this.read("extra:mean_gxhat", [c]);
    const mean2 = this.read("extra:mean_gxhat_xhat", [c]);
    if (gy === undefined || mean1 === undefined || mean2 === undefined) return e;
    const gxhat = gy * weight;
    e.lit.grad = [e.index];
    e.lines.push(["gy", gy], ["gxhat = gy * weight", gxhat], ["mean of gxhat", mean1], ["mean of (gxhat * xhat)", mean2]);
    e.note = "gx = rstd * (gxhat - mean of gxhat - xhat * mean of (gxhat * xhat))";
    const magnitude = 4 * rstd * (Math.abs(gxhat) + Math.abs(mean1) + Math.abs(xhat * mean2));
    return Object.assign(e, { sum: rstd * (gxhat - mean1 - xhat * mean2), magnitude });
  }

  /**
   * @param {Explanation} e
   * @param {number} argument
   */
  localResponse(e, argument) {
    const { size, alpha, beta, k } = this.node.rule;
    const [n, c, ...place] = e.index;
    const at = (/** @type {number} */ channel) => [n, channel, ...place];
    const around = (/** @type {number} */ from, /** @type {number} */ to) =>
      Array.from({ length: to - from + 1 }, (_, i) => from + i).filter((i) => i >= 0 && i < this.node.shape[1]);
    const before = Math.floor(size / 2);
    const after = Math.floor((size - 1) / 2);
    const x = this.read("in:0", e.index);
    const d = this.read("extra:d", e.index);
    if (x === undefined || d === undefined) return e;
    if (argument < 0) {
      const window = around(c - before, c + after).map(at);
      e.lit["in:0"] = window;
      const squares = window.map((i) => this.read("in:0", i));
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
    const gy = this.read("grad", e.index);
    const window = around(c - after, c + before).map(at);
    e.lit.grad = window;
    e.lit["in:0"] = window;
    const coupled = window.map((i) => {
      const [g, v, s] = [this.read("grad", i), this.read("in:0", i), this.read("extra:d", i)];
      return g === undefined || v === undefined || s === undefined ? undefined : (g * v) / s ** (beta + 1);
    });
    e.missing = coupled.filter((v) => v === undefined).length;
    if (gy === undefined || e.missing) return e;
    const total = /** @type {number} */ (
      coupled.reduce((sum, v) => /** @type {number} */ (sum) + /** @type {number} */ (v), 0)
    );
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
   * @param {Explanation} e
   * @param {number} argument
   */
  logSoftmax(e, argument) {
    const { dim } = this.node.rule;
    const classes = this.node.shape[dim];
    const at = (/** @type {number} */ i) => e.index.map((j, axis) => (axis === dim ? i : j));
    const all = Array.from({ length: classes }, (_, i) => at(i));
    e.lit["in:0"] = all;
    const log = this.read("value", e.index);
    if (argument < 0) {
      const scores = all.map((i) => this.read("in:0", i));
      if (scores.some((s) => s === undefined)) return e;
      const known = /** @type {number[]} */ (scores);
      const top = Math.max(...known);
      const total = top + Math.log(known.reduce((sum, s) => sum + Math.exp(s - top), 0));
      const own = /** @type {number} */ (this.read("in:0", e.index));
      e.lines = [
        ["x", own],
        ["log of the sum of e^x", total],
        ["p = e^y", Math.exp(log ?? NaN)],
      ];
      e.note = "y = x - log of the sum of e^x";
      return Object.assign(e, { sum: own - total, magnitude: Math.abs(own) + Math.abs(total) });
    }
    e.lit.grad = all;
    const given = all.map((i) => this.read("grad", i));
    if (log === undefined || given.some((g) => g === undefined)) return e;
    const total = /** @type {number[]} */ (given).reduce((sum, g) => sum + g, 0);
    const gy = /** @type {number} */ (this.read("grad", e.index));
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
   * Ops on single values: the cells of the same index light up, and sums and products are shown.
   * @param {Explanation} e
   * @param {number} argument
   */
  samePlace(e, argument) {
    const { name } = this.node;
    const shapes = this.node.inputs.map((id) => this.nodes.get(id)?.shape ?? []);
    if (name === "Reshape") {
      const [from, to, key] = argument < 0 ? [this.node.shape, shapes[0], "in:0"] : [shapes[0], this.node.shape, "grad"];
      return this.summed(e, [this.term([[key, unflatten(to, flatten(from, e.index))]])]);
    }
    if (name === "Cat") return this.cat(e, argument, shapes);
    if (!SAME_PLACE.test(name)) return e;
    if (argument < 0) {
      const cells = shapes.map((shape, i) => /** @type {[string, number[]]} */ ([`in:${i}`, broadcastIndex(shape, e.index)]));
      if (name === "Add")
        return this.summed(
          e,
          cells.map((cell) => this.term([cell])),
        );
      if (name === "Mul") return this.summed(e, [this.term(cells)]);
      for (const [key, index] of cells) e.lit[key] = [index];
      return e;
    }
    if (String(shapes[argument]) !== String(this.node.shape)) return e;
    if (name === "Add" || (name === "Sub" && argument === 0)) return this.summed(e, [this.term([["grad", e.index]])]);
    if (name === "Sub") return this.summed(e, [this.term([["grad", e.index]])], -1);
    e.lit.grad = [e.index];
    if (name !== "Mul") return e;
    const other = 1 - argument;
    return this.summed(e, [
      this.term([
        ["grad", e.index],
        [`in:${other}`, broadcastIndex(shapes[other], e.index)],
      ]),
    ]);
  }

  /**
   * @param {Explanation} e
   * @param {number} argument
   * @param {number[][]} shapes
   */
  cat(e, argument, shapes) {
    const axis = this.node.shape.findIndex((size, a) => size !== shapes[0][a]);
    if (axis < 0) return e;
    const starts = shapes.map((_, i) => shapes.slice(0, i).reduce((sum, s) => sum + s[axis], 0));
    const moved = (/** @type {number} */ by) => e.index.map((i, a) => (a === axis ? i + by : i));
    if (argument >= 0) return this.summed(e, [this.term([["grad", moved(starts[argument])]])]);
    const source = starts.findLastIndex((start) => start <= e.index[axis]);
    return this.summed(e, [this.term([[`in:${source}`, moved(-starts[source])]])]);
  }
}

/**
 * Each index once, in the order of their first coming.
 * @param {number[][]} list
 * @returns {number[][]}
 */
function unique(list) {
  return [...new Map(list.map((index) => [String(index), index])).values()];
}

/**
 * @param {string} key
 * @param {number[]} index
 */
export function spell(key, index) {
  return index.length ? `${key}[${index.join(", ")}]` : key;
}
