/**
 * The recorded numbers: unpacking them, reading one, and writing it.
 *
 * @typedef {{ shape: number[], kept: number[], at: number, low: number, high: number, odd?: number }} Stored
 */

import { flatten } from "./arithmetic.mjs";

/** The tensors of the file. */
export class Numbers {
  /**
   * @param {Stored[]} tensors
   * @param {Float32Array} floats
   */
  constructor(tensors, floats) {
    this.tensors = tensors;
    this.floats = floats;
  }

  /**
   * One number of a tensor; undefined where the file leaves it out.
   * @param {number | null} tensor
   * @param {number[]} index
   * @returns {number | undefined}
   */
  read(tensor, index) {
    if (tensor === null) return undefined;
    const { kept, at } = this.tensors[tensor];
    return index.every((i, axis) => i < kept[axis]) ? this.floats[at + flatten(kept, index)] : undefined;
  }
}

/**
 * Undo what `pack` did: base64, deflate, and the order of the bytes.
 * @param {string} text
 * @returns {Promise<Float32Array>}
 */
export async function unpack(text) {
  const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const sorted = new Uint8Array(await new Response(stream).arrayBuffer());
  const count = sorted.length / 4;
  const bytes = new Uint8Array(sorted.length);
  for (let byte = 0; byte < 4; byte++) {
    for (let i = 0; i < count; i++) bytes[4 * i + byte] = sorted[byte * count + i];
  }
  return new Float32Array(bytes.buffer);
}

/**
 * A number to 6 significant digits.
 * @param {number | undefined} value
 */
export function format(value) {
  if (value === undefined) return "?";
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  return String(Number(value.toPrecision(6)));
}

/**
 * Whether a sum computed here is the recorded one: float32 arithmetic in another order differs in its last digits, in
 * proportion to the terms rather than to their sum.
 * @param {number} sum
 * @param {number} recorded
 * @param {number} magnitude the sum of the terms' absolute values
 */
export function agrees(sum, recorded, magnitude) {
  return Math.abs(sum - recorded) <= 2e-6 * Math.max(magnitude, Math.abs(recorded)) + 1e-30;
}
