import { Transform, type TransformCallback } from 'node:stream';

/**
 * Longer requests are dropped: the transport takes no more than 10 MiB. A text of the length that tools take is
 * shorter, however it is escaped.
 */
const LONGEST_LINE = 8 * 1024 * 1024;
const NEWLINE = 0x0a;
/** A request's id stands at its beginning or at its end. */
const EDGE = 256;

/** A request that was dropped: how long it was, and its id if that could be found, so that it can be answered. */
export interface DroppedLine {
  readonly bytes: number;
  readonly limit: number;
  readonly id: number | string | null;
}

/**
 * Passes lines through, but for those that are too long: the transport behind would close for good over one. `onDropped`
 * is called with the size of each.
 */
export class BoundedLines extends Transform {
  #pending: Buffer[] = [];
  #size = 0;

  #head = '';
  #tail: Buffer = Buffer.alloc(0);

  constructor(private readonly onDropped: (line: DroppedLine) => void) {
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
    if (this.#head.length < EDGE) this.#head += piece.toString('latin1', 0, EDGE);
    this.#size += piece.length;
    if (this.#size > LONGEST_LINE) {
      this.#tail = Buffer.concat([...this.#pending.slice(-1), this.#tail, piece]).subarray(-EDGE);
      this.#pending = [];
    } else {
      this.#pending.push(piece);
    }
  }

  #release(): void {
    if (this.#size > LONGEST_LINE) {
      this.onDropped({ bytes: this.#size, limit: LONGEST_LINE, id: idIn(this.#head, this.#tail.toString('latin1')) });
    } else if (this.#size > 0) this.push(Buffer.concat(this.#pending));
    this.#pending = [];
    this.#size = 0;
    this.#head = '';
    this.#tail = Buffer.alloc(0);
  }
}

const ID = '"id"\\s*:\\s*(\\d{1,15}|"[^"\\\\]{1,100}")';
const FIRST = new RegExp(`^\\s*\\{\\s*(?:"jsonrpc"\\s*:\\s*"2\\.0"\\s*,\\s*)?${ID}\\s*,`);
const LAST = new RegExp(`,\\s*${ID}\\s*\\}\\s*$`);

/** The id of a request of which only the beginning and the end are known. Inside it an `id` can mean anything. */
function idIn(head: string, tail: string): number | string | null {
  const text = FIRST.exec(head)?.[1] ?? LAST.exec(tail)?.[1];
  return text === undefined ? null : (JSON.parse(text) as number | string);
}
