/** The page: it reads the recorded pass, steps through it, and answers to keys, pointers and the switch of the theme. */

import { GraphPicture } from "./graph.mjs";
import { Numbers, format, unpack } from "./numbers.mjs";
import { Panel } from "./panel.mjs";
import { speaker } from "./words.mjs";

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/**
 * The order of a pass: every op forward, then backward whatever has a gradient to pass on or to add up.
 * @param {import("./explain.mjs").Node[]} nodes
 * @param {Map<string, import("./explain.mjs").Part[]>} parts
 * @returns {{ id: string, backward: boolean }[]}
 */
export function stepsOf(nodes, parts) {
  const ops = nodes.filter((node) => node.kind === "op");
  const stops = nodes.filter(
    (node) => node.grad !== null && (node.kind === "op" || node.kind === "leaf" || (parts.get(node.id)?.length ?? 0) > 1),
  );
  return [...ops.map(({ id }) => ({ id, backward: false })), ...stops.reverse().map(({ id }) => ({ id, backward: true }))];
}

/**
 * For each value, the gradients that its uses contribute.
 * @param {import("./explain.mjs").Node[]} nodes
 */
export function partsOf(nodes) {
  /** @type {Map<string, import("./explain.mjs").Part[]>} */
  const parts = new Map();
  for (const node of nodes) {
    (node.inputs ?? []).forEach((source, argument) => {
      const tensor = node.flows[argument];
      if (tensor === null) return;
      parts.set(source, [...(parts.get(source) ?? []), { node: node.id, argument, tensor }]);
    });
  }
  return parts;
}

/**
 * A colour of the style sheet, "12 34 56", as numbers.
 * @param {string} name
 */
function colourOf(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim().split(" ").map(Number);
}

function palette() {
  return {
    nothing: colourOf("--nothing"),
    ink: colourOf("--ink-rgb"),
    less: colourOf("--less"),
    more: colourOf("--more"),
    odd: colourOf("--odd"),
  };
}

async function start() {
  const trace = JSON.parse(byId("trace").textContent ?? "");
  const say = speaker(trace.lang);
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-say]"))) {
    element.textContent = say(element.dataset.say ?? "");
  }
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-label]"))) {
    element.setAttribute("aria-label", say(element.dataset.label ?? ""));
    element.title = say(element.dataset.label ?? "");
  }
  const numbers = new Numbers(trace.tensors, await unpack((byId("numbers").textContent ?? "").trim()));
  /** @type {Map<string, import("./explain.mjs").Node>} */
  const nodes = new Map(trace.nodes.map((/** @type {import("./explain.mjs").Node} */ node) => [node.id, node]));
  const parts = partsOf(trace.nodes);
  const steps = stepsOf(trace.nodes, parts);
  const context = { nodes, numbers, sources: trace.sources, say, palette: palette(), parts };
  const panel = new Panel(context, { op: byId("op"), why: byId("why"), live: byId("live") });
  byId("loss").textContent = `${say("loss")} ${typeof trace.loss === "number" ? format(trace.loss) : trace.loss}`;
  byId("cut").hidden = trace.whole;

  let current = 0;
  /** @type {number | undefined} */
  let playing;
  const slider = /** @type {HTMLInputElement} */ (byId("slider"));
  slider.max = String(steps.length - 1);
  const middle = steps.findIndex((step) => step.backward);
  byId("track").style.setProperty("--middle", `${(100 * (middle - 0.5)) / (steps.length - 1)}%`);

  const graph = new GraphPicture(trace.nodes, say("graph"), (id) => {
    const found = steps.findIndex((step) => step.id === id && step.backward === steps[current].backward);
    go(found < 0 ? steps.findIndex((step) => step.id === id) : found);
  });
  byId("graph").append(graph.root);

  /** @param {number} step */
  function go(step) {
    if (step < 0 || step >= steps.length) return;
    current = step;
    const { id, backward } = steps[step];
    const node = /** @type {import("./explain.mjs").Node} */ (nodes.get(id));
    panel.show(node, backward);
    const first = backward ? middle : 0;
    const sources = trace.nodes.filter((/** @type {any} */ n) => n.kind !== "op").map((/** @type {any} */ n) => n.id);
    const passed = steps.slice(first, step + 1).map((s) => s.id);
    graph.mark(id, backward, new Set(backward ? passed : [...sources, ...passed]));
    slider.value = String(step);
    const text = `${step + 1} / ${steps.length} · ${say(backward ? "backward" : "forward")} · ${node.name}`;
    slider.setAttribute("aria-valuetext", text);
    byId("step").textContent = text;
    document.body.dataset.step = String(step);
    document.body.classList.toggle("backward", backward);
    byId("main").scrollTo({ top: 0 });
  }

  /** @param {boolean} on */
  function play(on) {
    window.clearInterval(playing);
    playing = undefined;
    byId("play").textContent = on ? "❚❚" : "▶";
    byId("play").setAttribute("aria-label", say(on ? "pause" : "play"));
    if (!on) return;
    if (current === steps.length - 1) go(0);
    playing = window.setInterval(() => (current < steps.length - 1 ? go(current + 1) : play(false)), 1100);
  }

  /** @type {Record<string, () => void>} */
  const keys = {
    ArrowLeft: () => go(current - 1),
    ArrowRight: () => go(current + 1),
    Home: () => go(0),
    End: () => go(steps.length - 1),
    " ": () => play(playing === undefined),
  };
  document.addEventListener("keydown", (event) => {
    const inside = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.altKey || event.metaKey || !keys[event.key]) return;
    // A button or a summary answers to space itself.
    if (event.key === " " && /^(BUTTON|SUMMARY)$/.test(inside.tagName)) return;
    event.preventDefault();
    if (event.key !== " ") play(false);
    keys[event.key]();
  });
  slider.addEventListener("input", () => go(Number(slider.value)));
  byId("previous").addEventListener("click", () => go(current - 1));
  byId("next").addEventListener("click", () => go(current + 1));
  byId("play").addEventListener("click", () => play(playing === undefined));

  function repaint() {
    context.palette = palette();
    const shown = panel.explanation;
    go(current);
    if (shown && panel.pictures.has(shown.key)) panel.point(shown.key, shown.index);
  }
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  byId("theme").addEventListener("click", () => {
    const now = document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
    document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
    repaint();
  });
  dark.addEventListener("change", repaint);

  go(0);
  // For whoever drives the page by program: where a cell is, and what is said of it.
  Object.assign(window, {
    explorer: {
      steps: steps.map(({ id, backward }) => ({ id, backward, name: nodes.get(id)?.name, module: nodes.get(id)?.module })),
      go,
      locate: (/** @type {string} */ key, /** @type {number[]} */ index) => panel.pictures.get(key)?.locate(index) ?? null,
      explanation: () => panel.explanation,
      point: (/** @type {string} */ key, /** @type {number[]} */ index) => panel.point(key, index),
    },
  });
  document.body.classList.add("ready");
}

if (typeof document !== "undefined") start();
