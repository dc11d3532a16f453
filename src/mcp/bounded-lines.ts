import { Transform, type TransformCallback } from 'node:stream';

/** Longer requests are dropped: the largest argument that any tool takes is some thousand characters. */
const LONGEST_LINE = 4 * 1024 * 1024;
const NEWLINE = 0x0a;

/**
 * Passes lines through, but for those that are too long: the transport behind would close for good over one. `onDropped`
 * is called with the size of each.
 */
export class BoundedLines extends Transform {
  #pending: Buffer[] = [];
  #size = 0;

  constructor(private readonly onDropped: (bytes: number) => void) {
    super();
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, from)) {
      this.#take(chunk.subarray(from, at + 1));
      this.#release();
      from = at + 1;
    }
    if (from < chunk.length) this.#take(chunk.subarray(from));
    done();
  }

  override _flush(done: TransformCallback): void {
    this.#release();
    done();
  }

  #take(piece: Buffer): void {
    this.#size += piece.length;
    if (this.#size > LONGEST_LINE) this.#pending = [];
    else this.#pending.push(piece);
  }

  #release(): void {
    if (this.#size > LONGEST_LINE) this.onDropped(this.#size);
    else if (this.#size > 0) this.push(Buffer.concat(this.#pending));
    this.#pending = [];
    this.#size = 0;
  }
}
