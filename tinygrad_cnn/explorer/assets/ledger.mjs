/**
 * The gradient ledger: one element of a gradient as the list of terms that it is the sum of, the largest first, each with
 * the way that its gradient came from the loss. What `explain.gradient` prints, from the numbers in the page.
 *
 * @typedef {import("./explain.mjs").Node} Node
 * @typedef {import("./explain.mjs").Part} Part
 * @typedef {import("./explain.mjs").Explanation} Explanation
 * @typedef {ReturnType<typeof import("./words.mjs").speaker>} Speaker
 * @typedef {{
 *   nodes: Map<string, Node>, numbers: import("./numbers.mjs").Numbers, parts: Map<string, Part[]>, say: Speaker,
 * }} Recorded
 * @typedef {{ value: number, factor: number, source: string, gradient: number, output: string, origin: string[] }} Entry
 * @typedef {{
 *   op: string, argument: string, via: string[], formula: string, entries: Entry[], count: number, rest: number,
 *   subtotal: number, magnitude: number, missing: number,
 * }} Reader
 * @typedef {{
 *   title: string, recorded: number | undefined, total: number, magnitude: number, missing: number, readers: Reader[],
 * }} Ledger
 */

import { spell } from "./arithmetic.mjs";
import { Explainer } from "./explain.mjs";

/** So many terms of each op are listed; the others are added up. */
const LISTED = 10;

/** Longer ways towards the loss are cut. */
const LONGEST = 6;

/** Ops that only put a number elsewhere: they are looked through. */
const MOVES = /^(Reshape|Cat)$/;

/**
 * Take one element of a gradient apart.
 * @param {Recorded} pass
 * @param {string} id the node whose value's gradient it is
 * @param {number[]} index
 * @returns {Ledger}
 */
export function ledger(pass, id, index) {
  const { nodes, numbers, parts } = pass;
  const node = /** @type {Node} */ (nodes.get(id));
  const readers = readersOf(pass, id, index);
  const contributions = (parts.get(id) ?? []).map((part) => numbers.read(part.tensor, index) ?? NaN);
  const recorded = contributions.reduce((sum, value) => sum + value, 0);
  const total = (/** @type {"subtotal" | "magnitude" | "missing"} */ name) =>
    readers.reduce((sum, reader) => sum + reader[name], 0);
  return {
    title: `d loss / d ${spell(node.kind === "op" ? place(node) : node.name, index)}`,
    recorded: Number.isNaN(recorded) ? undefined : recorded,
    total: total("subtotal"),
    magnitude: total("magnitude"),
    missing: total("missing"),
    readers,
  };
}

/**
 * The ops that compute with an element.
 * @param {Recorded} recorded
 * @param {string} id
 * @param {number[]} index
 * @returns {Reader[]}
 */
function readersOf(recorded, id, index) {
  /** @type {{ id: string, index: number[], via: string[] }[]} */
  const waiting = [{ id, index, via: [] }];
  const found = [];
  for (let at = waiting.pop(); at; at = waiting.pop()) {
    for (const part of recorded.parts.get(at.id) ?? []) {
      const user = /** @type {Node} */ (recorded.nodes.get(part.node));
      const e = account(recorded, part, at.index);
      const passed = passedOn(e);
      if (MOVES.test(user.name) && passed && recorded.parts.has(user.id)) {
        waiting.push({ id: user.id, index: passed.index, via: [...at.via, user.name] });
      } else found.push(reader(recorded, part, at.index, at.via, e));
    }
  }
  return found;
}

/**
 * What the explorer says of a contribution: the terms of one op's input gradient.
 * @param {Recorded} recorded
 * @param {Part} part
 * @param {number[]} index
 */
function account(recorded, { node, argument }, index) {
  const user = /** @type {Node} */ (recorded.nodes.get(node));
  const explainer = new Explainer(user, recorded.nodes, recorded.numbers, recorded.parts.get(node) ?? []);
  return explainer.explain(`flow:${argument}`, index);
}

/**
 * The one cell of the output's gradient that an input gradient is made from; null where it is a sum.
 * @param {Explanation} e
 */
function passedOn(e) {
  return (e.terms.length === 1 && e.terms[0].factors.find((factor) => factor.key === "grad")) || null;
}

/**
 * @param {Recorded} recorded
 * @param {Part} part
 * @param {number[]} index
 * @param {string[]} via
 * @param {Explanation} e
 * @returns {Reader}
 */
function reader(recorded, part, index, via, e) {
  const user = /** @type {Node} */ (recorded.nodes.get(part.node));
  const known = e.terms.filter((term) => term.product !== undefined);
  const value = (/** @type {import("./explain.mjs").Term} */ term) => /** @type {number} */ (term.product) * e.scale;
  known.sort((a, b) => Math.abs(value(b)) - Math.abs(value(a)));
  const entries = known.slice(0, LISTED).map((term) => {
    const arrived = /** @type {import("./explain.mjs").Factor} */ (term.factors.find((factor) => factor.key === "grad"));
    const others = term.factors.filter((factor) => factor !== arrived);
    return {
      value: value(term),
      factor: others.reduce((product, factor) => product * /** @type {number} */ (factor.value), e.scale),
      source: others.map((factor) => named(user, factor)).join(" × ") || note(recorded, user, e, arrived.index),
      gradient: /** @type {number} */ (arrived.value),
      output: spell("gy", arrived.index),
      origin: origin(recorded, user.id, arrived.index),
    };
  });
  const subtotal = e.sum ?? recorded.numbers.read(part.tensor, index) ?? NaN;
  const listed = entries.reduce((sum, entry) => sum + entry.value, 0);
  return {
    op: user.module ? `${user.name} (${user.module})` : user.name,
    argument: user.arguments[part.argument],
    via,
    formula: formula(recorded, user, part.argument, index, e),
    entries,
    count: known.length,
    rest: known.length > entries.length ? subtotal - listed : 0,
    subtotal,
    magnitude: e.sum === null ? Math.abs(subtotal) : e.magnitude,
    missing: e.missing,
  };
}

/**
 * @param {Node} user
 * @param {import("./explain.mjs").Factor} factor
 */
function named(user, { key, index, name }) {
  const [kind, which] = key.split(":");
  return kind === "in" ? spell(user.arguments[Number(which)], index) : key ? spell(which, index) : (name ?? "");
}

/** @param {Node} node */
function place(node) {
  return node.module || node.name;
}

/**
 * The steps from one output of an op towards the loss, as long as there is only one way.
 * @param {Recorded} recorded
 * @param {string} id
 * @param {number[]} index
 * @returns {string[]}
 */
function origin(recorded, id, index) {
  const { nodes, parts, say } = recorded;
  const steps = [];
  while (steps.length < LONGEST) {
    const uses = parts.get(id) ?? [];
    const users = uses.map((part) => /** @type {Node} */ (nodes.get(part.node)));
    if (!uses.length) return [...steps, say("theLoss")];
    if (uses.length > 1) return [...steps, `${say("sumOver", { n: uses.length })} ${users.map(place).join(", ")}`];
    const e = account(recorded, uses[0], index);
    const passed = passedOn(e);
    if (!passed) {
      const lost = users[0].rule?.kind === "choose";
      const what = e.terms.length ? say("sumOf", { n: e.terms.length }) : say(lost ? "lost" : "byFormula");
      return [...steps, `${place(users[0])}: ${what}`];
    }
    if (!MOVES.test(users[0].name)) steps.push(`${place(users[0])}: ${note(recorded, users[0], e, passed.index)}`);
    if (factorOf(e) === 0) return steps;
    [id, index] = [users[0].id, passed.index];
  }
  return [...steps, "…"];
}

/**
 * What a gradient that passes in one piece is multiplied by.
 * @param {Explanation} e
 */
function factorOf(e) {
  const others = e.terms[0]?.factors.filter((factor) => factor.key !== "grad") ?? [];
  return others.reduce((product, { value }) => product * (value ?? NaN), e.scale);
}

/**
 * Why a gradient that passes an op in one piece is what it is.
 * @param {Recorded} recorded
 * @param {Node} user
 * @param {Explanation} e its account
 * @param {number[]} output where the gradient came from
 * @returns {string}
 */
function note({ say }, user, e, output) {
  const kind = user.rule?.kind;
  const factor = factorOf(e);
  if (kind === "mask") return say(user.name === "ReLU" ? (factor ? "gateOpen" : "gateShut") : factor ? "kept" : "dropped");
  if (kind === "choose") return say("won", { at: `[${output.slice(2).join(", ")}]` });
  if (kind === "average" || (kind === "reduce" && user.rule.mean)) return say("shareOf", { n: Math.round(1 / factor) });
  const known = e.terms[0]?.factors.find(({ key }) => key.startsWith("in:"));
  if (known) return say("timesOne", { name: user.arguments[Number(known.key.split(":")[1])] });
  return `${say("times")} ${factor > 0 ? "+" : ""}${Number(factor.toPrecision(3))}`;
}

/**
 * The gradient of one element; of a kernel and an input with the indices put in, else as the op's rule says it.
 * @param {Recorded} recorded
 * @param {Node} user
 * @param {number} argument
 * @param {number[]} index
 * @param {Explanation} e
 */
function formula({ say }, user, argument, index, e) {
  const own = `g${spell(user.arguments[argument], index)}`;
  if (user.rule?.kind !== "conv") return say(e.note && e.note.startsWith("gx =") ? e.note : own);
  const { roles, out, geometry: g } = user.rule;
  const steps = "ijk".slice(0, g.kernel.length).split("");
  if (argument === 2) return `${own} = Σ ${spell("gy", ["n", String(index[0]), ...steps])}`;
  const name = (/** @type {string} */ role) => (role === out ? "gy" : user.arguments[roles.indexOf(role)]);
  const role = roles[argument];
  if (role === "W") {
    const [o, c, ...tap] = index;
    const group = Math.floor(o / (g.out_channels / g.groups));
    const read = steps.map((step, a) => shifted(step, g.stride[a], tap[a] * g.dilation[a] - g.before[a]));
    const x = spell(name("X"), ["n", String((group * g.in_channels) / g.groups + c), ...read]);
    return `${own} = Σ ${x} × ${spell(name("Y"), ["n", String(o), ...steps])}`;
  }
  const taps = ["kw", "kh", "kd"].slice(0, g.kernel.length).reverse();
  const kernel = role === "X" ? ["o", String(index[1] % (g.in_channels / g.groups))] : [String(index[1]), "c"];
  return `${own} = Σ ${spell(name("W"), [...kernel, ...taps])} × gy[…]`;
}

/**
 * @param {string} step
 * @param {number} stride
 * @param {number} shift
 */
function shifted(step, stride, shift) {
  const scaled = stride === 1 ? step : `${stride}${step}`;
  return shift === 0 ? scaled : `${scaled} ${shift > 0 ? "+" : "-"} ${Math.abs(shift)}`;
}
