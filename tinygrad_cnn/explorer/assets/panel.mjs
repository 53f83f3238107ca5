/** One step: the tensors of an op, its formula and source, and the account of the number that is pointed at. */

import { spell } from "./arithmetic.mjs";
import { Explainer } from "./explain.mjs";
import { ledger } from "./ledger.mjs";
import { ledgerRow } from "./ledger_view.mjs";
import { make } from "./make.mjs";
import { agrees, format } from "./numbers.mjs";
import { Picture, colour } from "./picture.mjs";

const MOST_TERMS = 200;
const MOST_GROUPS = 6;

/**
 * @typedef {import("./explain.mjs").Node} Node
 * @typedef {import("./explain.mjs").Explanation} Explanation
 * @typedef {{
 *   nodes: Map<string, Node>, numbers: import("./numbers.mjs").Numbers, sources: Record<string, Record<string, string>>,
 *   say: ReturnType<typeof import("./words.mjs").speaker>, palette: import("./picture.mjs").Palette,
 *   parts: Map<string, import("./explain.mjs").Part[]>,
 * }} Context
 */

/** What is shown of one step. */
export class Panel {
  /**
   * @param {Context} context
   * @param {{ op: HTMLElement, why: HTMLElement, live: HTMLElement }} places
   */
  constructor(context, places) {
    this.context = context;
    this.places = places;
    /** @type {Map<string, Picture>} */
    this.pictures = new Map();
  }

  /**
   * @param {Node} node
   * @param {boolean} backward
   */
  show(node, backward) {
    const { say, sources, parts } = this.context;
    const uses = parts.get(node.id) ?? [];
    this.node = node;
    this.explainer = new Explainer(node, this.context.nodes, this.context.numbers, uses);
    this.pictures.clear();
    const head = make("header");
    const title = make("h2", "", node.name);
    title.append(make("span", backward ? "pass back" : "pass", say(backward ? "backward" : "forward")));
    head.append(title);
    if (node.module) head.append(make("p", "module", node.module));
    const source = node.kind === "op" ? sources[node.source] : null;
    if (source) head.append(this.formula(source, backward));
    const body = make("div", "figures");
    for (const [heading, keys] of this.groups(node, backward, uses.length)) {
      for (const key of keys) body.append(this.figure(key, heading));
    }
    const foot = source ? this.details(node, source, backward) : make("p", "soft", say("leafGradient"));
    this.row = this.emptyRow();
    this.places.op.replaceChildren(head, body, ...(backward ? [this.row] : []), foot);
    this.places.why.replaceChildren(make("h3", "", say("why")), make("p", "soft", say("hint")));
  }

  /** The place of the gradient ledger, before a cell is pointed at. */
  emptyRow() {
    const { say } = this.context;
    const row = make("section", "ledger");
    row.setAttribute("aria-label", say("ledger"));
    row.append(make("h3", "", say("ledger")), make("p", "soft", say("ledgerHint")));
    return row;
  }

  /**
   * The figures of a step, by heading.
   * @param {Node} node
   * @param {boolean} backward
   * @param {number} uses
   * @returns {[string, string[]][]}
   */
  groups(node, backward, uses) {
    const inputs = (node.inputs ?? []).map((_, i) => `in:${i}`);
    const extra = Object.keys(node.extra ?? {}).map((name) => `extra:${name}`);
    const parts = uses > 1 ? Array.from({ length: uses }, (_, i) => `part:${i}`) : [];
    if (!backward)
      return [
        ["inputs", inputs],
        ["output", ["value"]],
        ["extra", extra],
      ];
    const flows = (node.flows ?? []).flatMap((tensor, i) => (tensor === null ? [] : [`flow:${i}`]));
    return [
      ["parts", parts],
      ["incoming", ["grad"]],
      ["outgoing", flows],
      ["inputs", inputs],
      ["extra", extra],
    ];
  }

  /**
   * @param {string} key
   * @returns {string}
   */
  name(key) {
    const node = /** @type {Node} */ (this.node);
    const [kind, which] = key.split(":");
    if (kind === "value") return node.kind === "op" ? "y" : node.name;
    if (kind === "grad") return node.kind === "op" ? "gy" : `g ${node.name}`;
    if (kind === "in") return node.arguments[Number(which)];
    if (kind === "flow") return `g${node.arguments[Number(which)]}`;
    if (kind !== "part") return which ?? kind;
    const part = /** @type {import("./explain.mjs").Explainer} */ (this.explainer).parts[Number(which)];
    const user = this.context.nodes.get(part.node);
    return `${user?.name} ${user?.module ?? ""}`.trim();
  }

  /**
   * @param {string} key
   * @param {string} heading
   */
  figure(key, heading) {
    const { say, numbers, palette, nodes } = this.context;
    const explainer = /** @type {Explainer} */ (this.explainer);
    const number = explainer.tensor(key);
    const figure = make("figure");
    const caption = make("figcaption");
    figure.append(make("h3", "", say(heading)));
    caption.append(make("b", "", this.name(key)));
    const [kind, which] = key.split(":");
    const from = kind === "in" || kind === "flow" ? nodes.get(explainer.node.inputs[Number(which)]) : undefined;
    if (from && from.kind !== "op" && from.name !== this.name(key)) caption.append(make("span", "", from.name));
    if (number === null) {
      const shape = from?.shape ?? [];
      caption.append(make("code", "", `(${shape.join(", ")})`));
      figure.append(caption, make("p", "soft", say("unknown")));
      return figure;
    }
    const tensor = numbers.tensors[number];
    caption.append(make("code", "", `(${tensor.shape.join(", ")})`));
    const gradient = ["grad", "flow", "part"].includes(kind);
    const diverging = gradient || tensor.low < 0;
    const { rule } = explainer.node;
    const gated = (rule?.kind === "mask" && ["value", "flow"].includes(kind)) || (rule?.relu && kind === "value");
    const shut = (/** @type {number[]} */ index) => explainer.read("extra:mask", index) === 0;
    const picture = new Picture({
      key,
      label: `${this.name(key)}, ${say(gradient ? "gradient" : "value")}, ${tensor.shape.join(" × ") || "1"}. ${say(heading)}`,
      tensor,
      numbers: numbers.floats,
      diverging,
      width: this.width(),
      palette,
      onPoint: (name, index) => this.point(name, index),
      ...(gated ? { shut } : {}),
    });
    this.pictures.set(key, picture);
    figure.append(caption, picture.box, this.legend(tensor, diverging));
    if (gated) figure.append(make("p", "note", this.countShut(explainer)));
    if (String(tensor.kept) !== String(tensor.shape)) {
      const [kept, shape] = [tensor.kept, tensor.shape].map((sizes) => sizes.join("×"));
      figure.append(make("p", "note cut", say("sampled", { kept, shape })));
    }
    return figure;
  }

  /** How wide a picture may be: two of them stand beside each other, if there is room. */
  width() {
    const room = this.places.op.clientWidth;
    return room > 560 ? room / 2 - 36 : Math.max(180, room - 30);
  }

  /** @param {Explainer} explainer */
  countShut(explainer) {
    const { at, kept } = this.context.numbers.tensors[explainer.node.extra.mask];
    const all = kept.reduce((a, b) => a * b, 1);
    const shut = this.context.numbers.floats.subarray(at, at + all).filter((gate) => gate === 0).length;
    return this.context.say("shutCount", { shut, all });
  }

  /**
   * The colours from the least to the greatest value.
   * @param {import("./numbers.mjs").Stored} tensor
   * @param {boolean} diverging
   */
  legend(tensor, diverging) {
    const bound = Math.max(Math.abs(tensor.low), Math.abs(tensor.high));
    const low = diverging ? -bound : 0;
    const stops = Array.from({ length: 13 }, (_, i) => {
      const [r, g, b] = colour(low + ((bound - low) * i) / 12, bound, diverging, this.context.palette);
      return `rgb(${r} ${g} ${b})`;
    });
    const legend = make("div", "legend");
    legend.setAttribute("aria-label", this.context.say("scale"));
    const bar = make("i");
    bar.style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
    const digits = (/** @type {number} */ value) => String(Number(value.toPrecision(3)));
    legend.append(make("span", "", digits(low)), bar, make("span", "", digits(bound)));
    return legend;
  }

  /**
   * @param {Record<string, string>} source
   * @param {boolean} backward
   */
  formula(source, backward) {
    const box = make("div", "formula");
    box.setAttribute("role", "note");
    box.setAttribute("aria-label", this.context.say("formula"));
    box.append(make("code", "", backward && source.gradient ? source.gradient : source.summary.split("\n\n").join("\n")));
    return box;
  }

  /**
   * @param {Node} node
   * @param {Record<string, string>} source
   * @param {boolean} backward
   */
  details(node, source, backward) {
    const { say } = this.context;
    const box = make("div", "details");
    if (node.settings.length) {
      const list = make("dl", "settings");
      list.setAttribute("aria-label", say("settings"));
      for (const [name, value] of node.settings) list.append(make("dt", "", name), make("dd", "", value));
      box.append(make("h3", "", say("settings")), list);
    }
    const code = backward ? [source.backward, source.kernel] : [source.forward];
    const text = code.filter(Boolean).join("\n\n");
    if (text) {
      const details = /** @type {HTMLDetailsElement} */ (make("details"));
      details.open = true;
      details.append(make("summary", "", `${say("source")} · ${say(backward ? "backward" : "forward")}`));
      const pre = make("pre");
      pre.tabIndex = 0;
      pre.append(make("code", "", text));
      details.append(pre);
      box.append(details);
    }
    return box;
  }

  /**
   * Account for a cell.
   * @param {string} key
   * @param {number[]} index
   */
  point(key, index) {
    const explanation = /** @type {Explainer} */ (this.explainer).explain(key, index);
    this.explanation = explanation;
    for (const [name, picture] of this.pictures) {
      const lit = (explanation.lit[name] ?? []).filter((cell) => picture.find(cell));
      picture.light(lit, name === key);
    }
    this.account(explanation);
    this.fillRow(key, index);
  }

  /**
   * The ledger of the gradient that a cell belongs to; a cell of something else leaves the row as it is.
   * @param {string} key
   * @param {number[]} index
   */
  fillRow(key, index) {
    const { say } = this.context;
    const node = /** @type {Node} */ (this.node);
    const [kind, which] = key.split(":");
    if (!["flow", "grad", "part"].includes(kind)) return;
    const found = ledger(this.context, kind === "flow" ? node.inputs[Number(which)] : node.id, index);
    this.row?.replaceChildren(make("h3", "", say("ledger")), ...ledgerRow(found, say));
  }

  /** @param {Explanation} e */
  account(e) {
    const { say } = this.context;
    const title = spell(this.name(e.key), e.index);
    const box = this.places.why;
    box.replaceChildren(make("h3", "", say("why")));
    const number = make("p", "number");
    number.append(make("code", "", title), make("strong", "", format(e.recorded)));
    box.append(number);
    const known = ["inputChannels", "outputChannels", "images"].includes(e.note);
    if (e.note === "goesInto") box.append(make("p", "soft", `${e.missing} ${say(e.note)}`));
    else if (e.note && !known) box.append(make("p", "soft", say(e.note)));
    if (e.lines.length) box.append(this.lines(e));
    if (e.sum !== null && e.terms.length !== 1) box.append(this.sum(e));
    if (known) box.append(this.groupsOf(e));
    if (e.terms.length) box.append(this.table(e));
    if (e.sum !== null && e.terms.length === 1) box.append(this.sum(e));
    const spoken = e.sum === null ? "" : `, ${say("computed")} ${format(e.sum)}, ${e.terms.length}`;
    this.places.live.textContent = `${title} = ${format(e.recorded)}${spoken}`;
  }

  /** @param {Explanation} e */
  lines(e) {
    const table = make("table", "lines");
    for (const [name, value] of e.lines) {
      const row = make("tr");
      row.append(make("th", "", name), make("td", "", format(value)));
      table.append(row);
    }
    return table;
  }

  /** @param {Explanation} e */
  sum(e) {
    const { say } = this.context;
    const box = make("div", "sum");
    const row = make("p");
    const label = e.terms.length
      ? `Σ ${say(e.terms.some((term) => term.factors.length > 1) ? "sum" : "added")} (${e.terms.length - (e.note === "goesInto" ? 0 : e.missing)})`
      : say("computed");
    row.append(make("span", "", label), make("output", "", format(e.sum ?? undefined)));
    box.append(row);
    if (e.missing) {
      box.append(make("p", "soft", `${say("partial")}: ${e.missing} ${say("missing")}`));
      return box;
    }
    if (e.recorded === undefined || e.sum === null) return box;
    const fine = agrees(e.sum, e.recorded, e.magnitude);
    const close = Math.abs(e.sum - e.recorded) <= 1e-5 * Math.abs(e.recorded);
    const verdict = say(!fine ? "differs" : close ? "agrees" : "rounding");
    const mark = fine ? "✓" : "✗";
    box.append(make("p", fine ? "fine" : "wrong", `${mark} ${say("recorded")} ${format(e.recorded)} · ${verdict}`));
    return box;
  }

  /**
   * The terms where they stand: for each channel the window, the kernel, and their products.
   * @param {Explanation} e
   */
  groupsOf(e) {
    const { say } = this.context;
    const box = make("div", "stacks");
    if (e.axes.length < 1 || e.axes.length > 2) return box;
    const [rows, columns] = e.axes.length === 1 ? [1, e.axes[0]] : e.axes;
    const groups = new Map();
    for (const term of e.terms) {
      if (term.group === undefined || term.product === undefined) continue;
      groups.set(term.group, [...(groups.get(term.group) ?? []), term]);
    }
    const ranked = [...groups].map(([group, terms]) => {
      const total = terms.reduce((/** @type {number} */ sum, /** @type {any} */ term) => sum + term.product, 0);
      return { group, terms, total };
    });
    ranked.sort((a, b) => Math.abs(b.total) - Math.abs(a.total) || a.group - b.group);
    for (const { group, terms, total } of ranked.slice(0, MOST_GROUPS)) {
      const line = make("div", "stack");
      line.append(make("span", "soft", `${say(e.note)} ${group}`));
      const names = terms[0].factors.map((/** @type {any} */ f) => this.name(f.key));
      const grids = make("div", "grids");
      grids.append(
        this.grid(rows, columns, terms, (term) => term.factors[0].value, names[0]),
        make("b", "", "×"),
      );
      grids.append(
        this.grid(rows, columns, terms, (term) => term.factors[1].value, names[1]),
        make("b", "", "="),
      );
      grids.append(this.grid(rows, columns, terms, (term) => term.product, say("product")));
      line.append(grids, make("code", "", `Σ ${format(total)}`));
      box.append(line);
    }
    if (ranked.length > MOST_GROUPS) box.append(make("p", "soft", `+ ${ranked.length - MOST_GROUPS} × ${say(e.note)}`));
    return box;
  }

  /**
   * @param {number} rows
   * @param {number} columns
   * @param {import("./explain.mjs").Term[]} terms
   * @param {(term: import("./explain.mjs").Term) => number | undefined} value
   * @param {string} name
   */
  grid(rows, columns, terms, value, name) {
    const cell = Math.max(2, Math.min(15, Math.floor(82 / Math.max(rows, columns))));
    const canvas = /** @type {HTMLCanvasElement} */ (make("canvas"));
    [canvas.width, canvas.height] = [columns * cell, rows * cell];
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", name);
    canvas.title = name;
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const bound = Math.max(...terms.map((term) => Math.abs(value(term) ?? 0)));
    for (const term of terms) {
      const place = /** @type {number[]} */ (term.cell);
      const column = place[place.length - 1];
      const row = place.length === 1 ? 0 : place[0];
      const [r, g, b] = colour(value(term) ?? 0, bound, true, this.context.palette);
      pen.fillStyle = `rgb(${r} ${g} ${b})`;
      pen.fillRect(column * cell, row * cell, cell - (cell > 5 ? 1 : 0), cell - (cell > 5 ? 1 : 0));
    }
    const box = make("span", "grid");
    box.append(canvas, make("small", "", name));
    return box;
  }

  /** @param {Explanation} e */
  table(e) {
    const { say } = this.context;
    const scroller = make("div", "terms");
    scroller.tabIndex = 0;
    const table = make("table");
    const ranked = [...e.terms].sort((a, b) => Math.abs(b.product ?? 0) - Math.abs(a.product ?? 0));
    for (const term of ranked.slice(0, MOST_TERMS)) {
      const row = make("tr");
      term.factors.forEach((factor, i) => {
        const cell = make("td", "factor");
        if (i) cell.append(make("i", "", "× "));
        const name = factor.key ? spell(this.name(factor.key), factor.index) : factor.name;
        if (name) cell.append(make("span", "", name));
        cell.append(make("code", "", format(factor.value)));
        row.append(cell);
      });
      if (term.factors.length > 1) row.append(make("td", "product", `= ${format(term.product)}`));
      table.append(row);
    }
    scroller.append(table);
    if (ranked.length > MOST_TERMS) scroller.append(make("p", "soft", `+ ${ranked.length - MOST_TERMS} ${say("more")}`));
    return scroller;
  }
}
