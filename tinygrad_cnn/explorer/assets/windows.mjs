/**
 * Accounts of ops with a window: convolutions, pools, and the gates that let a value through or shut it out.
 *
 * @typedef {import("./explain.mjs").Explainer} Explainer
 * @typedef {import("./explain.mjs").Explanation} Explanation
 */

import {
  adaptiveWindow,
  flatten,
  indices,
  meetings,
  spell,
  unflatten,
  unique,
  windowOf,
  windowsAround,
} from "./arithmetic.mjs";

/**
 * @param {Explainer} ex
 * @param {Explanation} e
 * @param {number} argument -1 for the op's output
 */
export function conv(ex, e, argument) {
  const { roles, out, geometry } = ex.node.rule;
  if (argument === 2) {
    const places = indices(ex.node.shape.filter((_, axis) => axis !== 1));
    const cells = places.map(([n, ...place]) => ex.term([["grad", [n, e.index[0], ...place]]]));
    return ex.summed(e, cells);
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
    return ex.term(cells, { group, cell: place.slice(2) });
  });
  if (argument < 0 && ex.node.inputs.length > 2) terms.push(ex.term([["in:2", [e.index[1]]]]));
  e.axes = role === "W" ? geometry.out : geometry.kernel;
  e.note = role === "W" ? "images" : (role === "Y") === (out === "Y") ? "inputChannels" : "outputChannels";
  return ex.summed(e, terms);
}

/**
 * An input of a convolution: the outputs that it goes into.
 * @param {Explainer} ex
 * @param {Explanation} e
 * @param {number} argument
 */
export function users(ex, e, argument) {
  const { roles, out, geometry } = ex.node.rule;
  const met = meetings(geometry, roles[argument], e.index);
  const cells = unique(met.map((m) => m[/** @type {"X"} */ (out)]));
  e.lit.value = e.lit.grad = cells;
  e.note = "goesInto";
  e.missing = cells.length;
  return e;
}

/**
 * @param {Explainer} ex
 * @param {Explanation} e
 * @param {number} argument
 */
export function choose(ex, e, argument) {
  const [n, c, ...place] = e.index;
  const rule = ex.node.rule;
  if (argument < 0) {
    const flat = ex.read("extra:indices", e.index);
    if (flat === undefined) return e;
    const chosen = [n, c, ...unflatten(rule.in, flat)];
    ex.summed(e, [ex.term([["in:0", chosen]])]);
    if (rule.geometry) {
      const cells = windowOf(rule.geometry, place).map((at) => [n, c, ...at]);
      e.lit["in:0"] = cells;
      e.lit["chosen"] = [chosen];
      e.lines = cells.map((at) => /** @type {[string, number | undefined]} */ ([spell("in:0", at), ex.read("in:0", at)]));
    }
    e.note = "maximum";
    return e;
  }
  const flat = flatten(rule.in, place);
  const winners = indices(ex.node.shape.slice(2))
    .map((at) => [n, c, ...at])
    .filter((at) => ex.read("extra:indices", at) === flat);
  e.note = winners.length ? "wasMaximum" : "wasNot";
  return ex.summed(
    e,
    winners.map((at) => ex.term([["grad", at]])),
  );
}

/**
 * @param {Explainer} ex
 * @param {Explanation} e
 * @param {number} argument
 */
export function average(ex, e, argument) {
  const [n, c, ...place] = e.index;
  const { geometry, adaptive } = ex.node.rule;
  const divisor = (/** @type {number[]} */ at) =>
    (geometry ? ex.read("extra:divisor", at) : adaptiveWindow(adaptive, at).length) ?? NaN;
  if (argument < 0) {
    const cells = geometry ? windowOf(geometry, place) : adaptiveWindow(adaptive, place);
    return ex.summed(
      e,
      cells.map((at) => ex.term([["in:0", [n, c, ...at]]])),
      1 / divisor(place),
    );
  }
  const outputs = geometry
    ? windowsAround(geometry, place)
    : indices(adaptive.out).filter((at) => adaptiveWindow(adaptive, at).some((x) => String(x) === String(place)));
  const terms = outputs.map((at) => ex.term([["grad", [n, c, ...at]]], {}, { name: "1 / n", value: 1 / divisor(at) }));
  return ex.summed(e, terms);
}

/**
 * ReLU and dropout: passed, or shut.
 * @param {Explainer} ex
 * @param {Explanation} e
 * @param {number} argument
 */
export function mask(ex, e, argument) {
  const gate = ex.read("extra:mask", e.index);
  e.note = gate === 0 ? "shut" : "open";
  return ex.summed(e, [
    ex.term([
      [argument < 0 ? "in:0" : "grad", e.index],
      ["extra:mask", e.index],
    ]),
  ]);
}
