/**
 * A tensor as a picture: its channels side by side, a cell for each number, and a frame around the cells that are lit.
 */

import { unflatten } from "./arithmetic.mjs";

/** @typedef {{ tiles: number, rows: number, columns: number, wrap: boolean, across: number, at: (tile: number, row: number, column: number) => number[] | null }} Arrangement */

const GAP = 4;

/**
 * How a tensor of this shape is spread over a plane.
 * @param {number[]} shape of what is kept
 * @returns {Arrangement}
 */
export function arrange(shape) {
  const count = shape.reduce((a, b) => a * b, 1);
  const long = shape.filter((size) => size > 1).length <= 1;
  if (long && shape.length !== 2 && shape.length < 4) return vector(shape, count);
  if (shape.length === 2 && shape[0] === 1) return vector(shape, count);
  const [rows, columns] = shape.slice(-2);
  const tiles = count / (rows * columns);
  const outer = shape.slice(0, -2);
  const across = outer.length > 1 && outer[0] > 1 && outer[1] > 1 ? tiles / outer[0] : 0;
  return {
    tiles,
    rows,
    columns,
    across,
    wrap: across === 0,
    at: (tile, row, column) => [...unflatten(outer, tile), row, column],
  };
}

/**
 * @param {number[]} shape
 * @param {number} count
 * @returns {Arrangement}
 */
function vector(shape, count) {
  const columns = count <= 16 ? count : count <= 128 ? 16 : 40;
  return {
    tiles: 1,
    rows: Math.ceil(count / columns),
    columns,
    across: 1,
    wrap: false,
    at: (_, row, column) => (row * columns + column < count ? unflatten(shape, row * columns + column) : null),
  };
}

/**
 * Where a value lies between -1 and 1, spread so that small ones are seen beside large ones.
 * @param {number} value
 * @param {number} bound
 */
export function shade(value, bound) {
  const t = bound > 0 ? Math.max(-1, Math.min(1, value / bound)) : 0;
  return Math.sign(t) * Math.abs(t) ** 0.6;
}

/** @typedef {{ nothing: number[], ink: number[], less: number[], more: number[], odd: number[] }} Palette */

/**
 * The colour of a value: from nothing to ink where no value is below 0, else two colours that part at 0.
 * @param {number} value
 * @param {number} bound
 * @param {boolean} diverging
 * @param {Palette} palette
 * @returns {number[]}
 */
export function colour(value, bound, diverging, palette) {
  if (!Number.isFinite(value)) return palette.odd;
  const t = shade(value, bound);
  const end = diverging ? (t < 0 ? palette.less : palette.more) : palette.ink;
  const share = Math.abs(t);
  return palette.nothing.map((from, i) => Math.round(from + (end[i] - from) * share));
}

/** A figure with the cells of one tensor. */
export class Picture {
  /**
   * @param {{
   *   key: string, label: string, tensor: import("./numbers.mjs").Stored, numbers: Float32Array, diverging: boolean,
   *   width: number, palette: Palette, onPoint: (key: string, index: number[]) => void, shut?: (index: number[]) => boolean,
   * }} options
   */
  constructor(options) {
    this.options = options;
    this.arrangement = arrange(options.tensor.kept);
    this.cursor = -1;
    const { scale, across, size } = this.measured();
    this.scale = scale;
    this.across = across;
    this.size = size;
    this.canvas = document.createElement("canvas");
    this.overlay = document.createElement("canvas");
    this.overlay.className = "overlay";
    const ratio = window.devicePixelRatio || 1;
    for (const canvas of [this.canvas, this.overlay]) {
      canvas.width = Math.ceil(this.size.width * ratio);
      canvas.height = Math.ceil(this.size.height * ratio);
      canvas.style.width = `${this.size.width}px`;
      canvas.style.height = `${this.size.height}px`;
      /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")).scale(ratio, ratio);
    }
    this.box = document.createElement("div");
    this.box.className = "cells";
    this.box.tabIndex = 0;
    this.box.setAttribute("role", "application");
    this.box.setAttribute("aria-label", options.label);
    this.box.dataset.key = options.key;
    const plane = document.createElement("div");
    plane.className = "plane";
    plane.style.width = `${this.size.width}px`;
    plane.style.height = `${this.size.height}px`;
    plane.append(this.canvas, this.overlay);
    this.box.append(plane);
    this.overlay.addEventListener("pointermove", (event) => this.pointed(event));
    this.overlay.addEventListener("pointerdown", (event) => this.pointed(event));
    this.box.addEventListener("keydown", (event) => this.pressed(event));
    this.draw();
  }

  /** The size of a cell and the number of tiles in a row, as large as the place allows, and what they take together. */
  measured() {
    const { tiles, rows, columns, wrap, across } = this.arrangement;
    const widest = this.options.width;
    const tallest = 224;
    const smallest = tiles > 1 ? (Math.max(rows, columns) <= 7 ? 3 : 1) : 1;
    let best = { scale: 0, across: across || 1 };
    const choices = wrap ? Array.from({ length: tiles }, (_, i) => i + 1) : [across];
    for (const n of choices) {
      const down = Math.ceil(tiles / n);
      const fit = Math.floor(Math.min((widest - GAP * n) / (n * columns), (tallest - GAP * down) / (down * rows)));
      const scale = Math.min(fit, tiles * rows * columns <= 30 ? 40 : 26);
      if (scale > best.scale) best = { scale, across: n };
    }
    if (best.scale < smallest) {
      const n = wrap ? Math.max(1, Math.min(tiles, Math.floor(widest / (columns * smallest + GAP)))) : across;
      best = { scale: smallest, across: n };
    }
    const width = best.across * (columns * best.scale + GAP);
    const height = Math.ceil(tiles / best.across) * (rows * best.scale + GAP);
    return { ...best, size: { width, height } };
  }

  /**
   * The corner of a cell, in pixels of the picture.
   * @param {number} tile
   * @param {number} row
   * @param {number} column
   */
  corner(tile, row, column) {
    const { rows, columns } = this.arrangement;
    return {
      x: GAP / 2 + (tile % this.across) * (columns * this.scale + GAP) + column * this.scale,
      y: GAP / 2 + Math.floor(tile / this.across) * (rows * this.scale + GAP) + row * this.scale,
    };
  }

  draw() {
    const { tensor, numbers, diverging, palette, shut } = this.options;
    const { tiles, rows, columns, at } = this.arrangement;
    const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    const bound = Math.max(Math.abs(tensor.low), Math.abs(tensor.high));
    const small = document.createElement("canvas");
    [small.width, small.height] = [columns, rows];
    const pen = /** @type {CanvasRenderingContext2D} */ (small.getContext("2d"));
    context.imageSmoothingEnabled = false;
    let place = tensor.at;
    const count = tensor.kept.reduce((a, b) => a * b, 1);
    for (let tile = 0; tile < tiles; tile++) {
      const image = pen.createImageData(columns, rows);
      for (let cell = 0; cell < rows * columns; cell++, place++) {
        if (place >= tensor.at + count) break;
        const [r, g, b] = colour(numbers[place], bound, diverging, palette);
        image.data.set([r, g, b, 255], 4 * cell);
      }
      pen.putImageData(image, 0, 0);
      const { x, y } = this.corner(tile, 0, 0);
      context.drawImage(small, x, y, columns * this.scale, rows * this.scale);
      if (!shut || this.scale < 4) continue;
      context.strokeStyle = `rgb(${palette.odd.join(" ")} / 0.55)`;
      context.beginPath();
      for (let cell = 0; cell < rows * columns; cell++) {
        const index = at(tile, Math.floor(cell / columns), cell % columns);
        if (!index || !shut(index)) continue;
        const corner = this.corner(tile, Math.floor(cell / columns), cell % columns);
        context.moveTo(corner.x + 1, corner.y + this.scale - 1);
        context.lineTo(corner.x + this.scale - 1, corner.y + 1);
      }
      context.stroke();
    }
  }

  /**
   * Tile, row and column of an index; null where it is not kept.
   * @param {number[]} index
   */
  find(index) {
    const { kept } = this.options.tensor;
    if (index.some((i, axis) => i >= kept[axis])) return null;
    const { rows, columns } = this.arrangement;
    const flat = index.reduce((sum, i, axis) => sum * kept[axis] + i, 0);
    const tile = Math.floor(flat / (rows * columns));
    return { tile, row: Math.floor(flat / columns) % rows, column: flat % columns };
  }

  /**
   * Frame cells: those that a number was made from, and the number itself.
   * @param {number[][]} cells
   * @param {boolean} own whether it is the cell that is pointed at
   */
  light(cells, own) {
    const context = /** @type {CanvasRenderingContext2D} */ (this.overlay.getContext("2d"));
    context.clearRect(0, 0, this.size.width, this.size.height);
    this.box.dataset.lit = JSON.stringify(cells);
    if (!cells.length) return;
    const styles = getComputedStyle(this.box);
    context.fillStyle = styles.getPropertyValue("--veil");
    context.fillRect(0, 0, this.size.width, this.size.height);
    const corners = cells.flatMap((index) => {
      const found = this.find(index);
      return found ? [this.corner(found.tile, found.row, found.column)] : [];
    });
    for (const { x, y } of corners) context.clearRect(x, y, this.scale, this.scale);
    context.fillStyle = styles.getPropertyValue(own ? "--own" : "--lit");
    this.frame(context, corners);
    if (!own) this.reveal(corners);
  }

  /**
   * A line around cells, not between those that touch.
   * @param {CanvasRenderingContext2D} context
   * @param {{ x: number, y: number }[]} corners
   */
  frame(context, corners) {
    const size = this.scale;
    const thick = size > 5 ? 2 : 1;
    const taken = new Set(corners.map(({ x, y }) => `${x} ${y}`));
    for (const { x, y } of corners) {
      if (!taken.has(`${x - size} ${y}`)) context.fillRect(x - thick, y - thick, thick, size + 2 * thick);
      if (!taken.has(`${x + size} ${y}`)) context.fillRect(x + size, y - thick, thick, size + 2 * thick);
      if (!taken.has(`${x} ${y - size}`)) context.fillRect(x, y - thick, size, thick);
      if (!taken.has(`${x} ${y + size}`)) context.fillRect(x, y + size, size, thick);
    }
  }

  /**
   * Scroll the picture so that the first lit cell is in sight.
   * @param {{ x: number, y: number }[]} corners
   */
  reveal([first]) {
    const { scrollTop, scrollLeft, clientHeight, clientWidth } = this.box;
    if (!first) return;
    const outside = first.y < scrollTop || first.y + this.scale > scrollTop + clientHeight;
    const beside = first.x < scrollLeft || first.x + this.scale > scrollLeft + clientWidth;
    if (outside) this.box.scrollTop = first.y - clientHeight / 2;
    if (beside) this.box.scrollLeft = first.x - clientWidth / 2;
  }

  /**
   * The centre of a cell in the window, for whoever points at it by program.
   * @param {number[]} index
   */
  locate(index) {
    const found = this.find(index);
    if (!found) return null;
    const { x, y } = this.corner(found.tile, found.row, found.column);
    const box = this.overlay.getBoundingClientRect();
    return { x: box.left + x + this.scale / 2, y: box.top + y + this.scale / 2 };
  }

  /** @param {PointerEvent} event */
  pointed(event) {
    const { rows, columns, tiles, at } = this.arrangement;
    const box = this.overlay.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left - GAP / 2, event.clientY - box.top - GAP / 2];
    const [wide, tall] = [columns * this.scale + GAP, rows * this.scale + GAP];
    const tile = Math.floor(y / tall) * this.across + Math.floor(x / wide);
    const [column, row] = [Math.floor((x % wide) / this.scale), Math.floor((y % tall) / this.scale)];
    if (x < 0 || y < 0 || tile >= tiles || column >= columns || row >= rows) return;
    const index = at(tile, row, column);
    if (!index) return;
    this.cursor = (tile * rows + row) * columns + column;
    this.options.onPoint(this.options.key, index);
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    const { rows, columns, tiles, at } = this.arrangement;
    /** @type {Record<string, [number, number]>} */
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    const cursor = Math.max(this.cursor, 0);
    let tile = Math.floor(cursor / (rows * columns));
    let row = (Math.floor(cursor / columns) % rows) + (this.cursor < 0 ? 0 : move[0]);
    let column = (cursor % columns) + (this.cursor < 0 ? 0 : move[1]);
    // Over an edge, into the tile on that side, as the eye sees them.
    const side = (column < 0 ? -1 : column >= columns ? 1 : 0) + (row < 0 ? -this.across : row >= rows ? this.across : 0);
    if (tile + side < 0 || tile + side >= tiles) return;
    tile += side;
    row = (row + rows) % rows;
    column = (column + columns) % columns;
    const index = at(tile, row, column);
    if (!index) return;
    this.cursor = (tile * rows + row) * columns + column;
    const { x, y } = this.corner(tile, row, column);
    this.box.scrollTo({ left: x - this.box.clientWidth / 2, top: y - this.box.clientHeight / 2 });
    this.options.onPoint(this.options.key, index);
  }
}
