/**
 * Why a number is what it is: for a cell of an op's output or of one of its gradients, the numbers that it was made from.
 *
 * The figures of a step have keys: `value` and `grad` are the op's output and its gradient, `in:0`, `in:1`, ... its
 * inputs, `flow:0`, ... what it contributes to their gradients, `extra:d` an array that its rule names, and `part:0`, ...
 * the contributions that add up to `grad`.
 *
 * @typedef {import("./arithmetic.mjs").Geometry} Geometry
 * @typedef {{ key: string, index: number[], value: number | undefined, name?: string }} Factor
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

import { unique } from "./arithmetic.mjs";
import { affine, batchNorm, localResponse, logSoftmax, softmax, standardize } from "./norms.mjs";
import { byName, likelihood, matmul, power, reduce, resample } from "./places.mjs";
import { average, choose, conv, mask, users } from "./windows.mjs";

/**
 * The account of each kind of rule, given the argument whose gradient it is, or -1 for the op's output.
 * @type {Record<string, (ex: Explainer, e: Explanation, argument: number) => Explanation>}
 */
const ACCOUNTS = {
  conv,
  choose,
  average,
  mask,
  batchnorm: batchNorm,
  standardize,
  affine,
  lrn: localResponse,
  softmax,
  logsoftmax: logSoftmax,
  power,
  reduce,
  matmul,
  resample,
  likelihood,
};

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
    /** The shapes of the op's inputs. */
    this.shapes = (node.inputs ?? []).map((id) => nodes.get(id)?.shape ?? []);
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
      return (ACCOUNTS[rule] ?? byName)(this, blank, kind === "flow" ? Number(which) : -1);
    }
    if (kind === "in" && rule === "conv" && Number(which) < 2) return users(this, blank, Number(which));
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
   * The product of some cells, and of a number that stands in no picture.
   * @param {[string, number[]][]} cells
   * @param {{ group?: number, cell?: number[] }} [place]
   * @param {{ name: string, value: number | undefined }} [constant]
   * @returns {Term}
   */
  term(cells, place = {}, constant) {
    /** @type {Factor[]} */
    const factors = cells.map(([key, index]) => ({ key, index, value: this.read(key, index) }));
    if (constant) factors.push({ key: "", index: [], ...constant });
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
}
