import { randomUUID } from 'node:crypto';
import { closeSync, createReadStream, fstatSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import * as zlib from 'node:zlib';
import { unsupported } from '../../../protocol/errors.js';
import { openToRead } from './regular-file.js';

/** The uncompressed bytes of a rollout, readable at any position. Close it after use. */
export class RolloutBytes {
  readonly #fd: number;

  constructor(
    fd: number,
    readonly size: number,
  ) {
    this.#fd = fd;
  }

  /** Fills `target` from `position`; returns how many bytes there were. */
  read(target: Buffer, position: number, length = target.length): number {
    let filled = 0;
    while (filled < length) {
      const count = readSync(this.#fd, target, filled, length - filled, position + filled);
      if (count === 0) break;
      filled += count;
    }
    return filled;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/**
 * Opens a rollout. A `.zst` is unpacked into an unnamed file in the system's temporary directory, so memory stays
 * bounded; with `headBytes`, only as much as that is unpacked.
 */
export async function openRollout(file: string, options: { headBytes?: number } = {}): Promise<RolloutBytes> {
  if (file.endsWith('.zst')) return await openCompressed(file, options.headBytes ?? Number.POSITIVE_INFINITY);
  return openPlain(file);
}

/** Opens an uncompressed rollout; synchronous, for scans of many files. */
export function openPlain(file: string): RolloutBytes {
  const fd = openToRead(file);
  return new RolloutBytes(fd, fstatSync(fd).size);
}

async function openCompressed(file: string, headBytes: number): Promise<RolloutBytes> {
  if (typeof zlib.createZstdDecompress !== 'function') {
    throw unsupported(
      'this Node cannot read compressed rollouts (.jsonl.zst)',
      'Run threadkeeper on Node 22.15 or newer.',
    );
  }
  const temporary = path.join(os.tmpdir(), `threadkeeper-${process.pid}-${randomUUID()}`);
  const fd = openSync(temporary, 'wx+', 0o600);
  unlinkSync(temporary);
  let size = 0;
  try {
    const packed = createReadStream(file, { fd: openToRead(file) });
    const unpacked = packed.pipe(zlib.createZstdDecompress());
    packed.on('error', (error) => unpacked.destroy(error));
    for await (const chunk of unpacked) {
      const bytes: Buffer = chunk;
      writeSync(fd, bytes, 0, bytes.length, size);
      size += bytes.length;
      if (size >= headBytes) break;
    }
    return new RolloutBytes(fd, size);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
