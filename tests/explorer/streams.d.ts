/** What browsers have and the oldest TypeScript that checks the scripts (4.8, Debian's) has not heard of. */

interface DecompressionStream extends GenericTransformStream {}

declare var DecompressionStream: { new (format: "deflate"): DecompressionStream };

interface GenericTransformStream {
  readonly readable: ReadableStream;
  readonly writable: WritableStream;
}
