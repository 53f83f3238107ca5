/** The recorded graph as a picture: a box for each op, from the input down to the loss. */

const [WIDE, TALL, ACROSS, DOWN, EDGE] = [132, 38, 148, 58, 12];

/**
 * @param {string} name
 * @param {Record<string, string | number>} attributes
 * @returns {SVGElement}
 */
function svg(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}

/** The drawing, in which one op is current. */
export class GraphPicture {
  /**
   * @param {import("./explain.mjs").Node[]} nodes
   * @param {string} label
   * @param {(id: string) => void} onChoose
   */
  constructor(nodes, label, onChoose) {
    this.drawn = nodes.filter((node) => node.lane !== undefined);
    /** @type {Map<string, SVGElement>} */
    this.boxes = new Map();
    /** @type {{ from: string, to: string, path: SVGElement }[]} */
    this.edges = [];
    const lanes = Math.max(...this.drawn.map((node) => node.lane ?? 0)) + 1;
    const rows = Math.max(...this.drawn.map((node) => node.row ?? 0)) + 1;
    const [width, height] = [lanes * ACROSS + 2 * EDGE + 18, rows * DOWN + 2 * EDGE];
    this.root = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": label });
    const places = new Map(this.drawn.map((node) => [node.id, node]));
    for (const node of this.drawn) {
      for (const source of node.inputs ?? []) {
        const from = places.get(source);
        if (from) this.connect(from, node);
      }
    }
    for (const node of this.drawn) this.box(node, onChoose);
  }

  /** @param {import("./explain.mjs").Node} node */
  place(node) {
    return { x: EDGE + (node.lane ?? 0) * ACROSS, y: EDGE + (node.row ?? 0) * DOWN };
  }

  /**
   * @param {import("./explain.mjs").Node} from
   * @param {import("./explain.mjs").Node} to
   */
  connect(from, to) {
    const [a, b] = [this.place(from), this.place(to)];
    const [x1, y1, x2, y2] = [a.x + WIDE / 2, a.y + TALL, b.x + WIDE / 2, b.y];
    const skips = (to.row ?? 0) - (from.row ?? 0) > 1 && from.lane === to.lane;
    // An edge over several rows of its own lane would run behind the boxes there: it goes around them.
    const out = a.x + WIDE + 11;
    const path = skips
      ? `M${a.x + WIDE} ${a.y + TALL / 2} C${out + 6} ${a.y + TALL / 2} ${out} ${a.y + TALL} ${out} ${a.y + DOWN}` +
        ` V${b.y - DOWN + TALL} C${out} ${b.y} ${out + 6} ${b.y + TALL / 2} ${b.x + WIDE} ${b.y + TALL / 2}`
      : `M${x1} ${y1} V${y2 - DOWN + TALL} C${x1} ${y2 - 6} ${x2} ${y2 - 14} ${x2} ${y2}`;
    const element = svg("path", { d: path, class: "edge" });
    this.edges.push({ from: from.id, to: to.id, path: element });
    this.root.append(element);
  }

  /**
   * @param {import("./explain.mjs").Node} node
   * @param {(id: string) => void} onChoose
   */
  box(node, onChoose) {
    const { x, y } = this.place(node);
    const group = svg("g", { class: `box ${node.kind}`, transform: `translate(${x} ${y})` });
    group.append(svg("rect", { width: WIDE, height: TALL, rx: 9 }));
    const name = svg("text", { x: WIDE / 2, y: 16, class: "name" });
    name.textContent = short(node.name, 19);
    const detail = svg("text", { x: WIDE / 2, y: 30, class: "detail" });
    const size = node.shape.join("×") || "1";
    const room = Math.max(4, 19 - size.length);
    detail.textContent = node.kind === "op" && node.module ? `${short(node.module, room, true)}  ${size}` : size;
    const title = svg("title", {});
    title.textContent = [node.name, node.module, `(${node.shape.join(", ")})`].filter(Boolean).join(" · ");
    group.append(name, detail, title);
    group.addEventListener("click", () => onChoose(node.id));
    this.boxes.set(node.id, group);
    this.root.append(group);
  }

  /**
   * Show where the pass is.
   * @param {string} id
   * @param {boolean} backward
   * @param {Set<string>} done the boxes whose value, or gradient, is known
   */
  mark(id, backward, done) {
    for (const [box, element] of this.boxes) {
      element.classList.toggle("current", box === id);
      element.classList.toggle("done", done.has(box));
    }
    this.root.classList.toggle("backward", backward);
    for (const { from, to, path } of this.edges) {
      path.classList.toggle("live", to === id || (backward && from === id));
      path.classList.toggle("done", done.has(backward ? to : from));
    }
    const scroller = this.root.parentElement;
    const node = this.drawn.find((n) => n.id === id);
    if (scroller && node) {
      const { x, y } = this.place(node);
      scroller.scrollTo({ top: y - scroller.clientHeight / 2, left: x - scroller.clientWidth / 2 + WIDE / 2 });
    }
  }
}

/**
 * @param {string} text
 * @param {number} length
 * @param {boolean} [end] keep the end rather than the beginning
 */
function short(text, length, end = false) {
  if (text.length <= length) return text;
  return end ? `…${text.slice(1 - length)}` : `${text.slice(0, length - 1)}…`;
}
