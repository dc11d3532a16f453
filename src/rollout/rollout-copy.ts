import { closeSync, fsyncSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import path from 'node:path';
import { strictJson } from '../protocol/json.js';
import type { RolloutItem } from '../protocol/rollout-item.js';
import { Breather } from './breather.js';
import { openNew } from './regular-file.js';
import type { RolloutBytes } from './rollout-bytes.js';

const CHUNK_BYTES = 1024 * 1024;
const STALE_MS = 60 * 60 * 1000;

/**
 * Makes a rollout of a first line and the lines of another up to `end`, byte for byte, with bounded memory. It has its
 * name only when it is whole: a program that is killed meanwhile leaves a temporary file, which no program takes for a
 * rollout and a later copy sweeps away.
 */
export async function copyRollout(source: RolloutBytes, end: number, first: RolloutItem, file: string): Promise<void> {
  const folder = path.dirname(file);
  const temporary = path.join(folder, `.${path.basename(file)}.tmp`);
  mkdirSync(folder, { recursive: true });
  sweep(folder);
  const fd = openNew(temporary);
  try {
    write(fd, Buffer.from(`${strictJson({ timestamp: new Date().toISOString(), ...first })}\n`));
    await copyBytes(source, end, fd);
    // A file that is renamed is taken for whole, after a power cut too.
    fsyncSync(fd);
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
}

async function copyBytes(source: RolloutBytes, end: number, fd: number): Promise<void> {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  const breather = new Breather();
  for (let position = 0; position < end; ) {
    const count = source.read(chunk, position, Math.min(chunk.length, end - position));
    if (count === 0) throw new Error('the rollout was cut while it was read');
    write(fd, chunk.subarray(0, count));
    position += count;
    if (breather.isDue(count)) await breather.breathe();
  }
}

function write(fd: number, bytes: Buffer): void {
  for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
}

/** Takes away what copies left in a folder that were killed. */
function sweep(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (!/^\.rollout-.*\.jsonl\.tmp$/.test(name)) continue;
    const file = path.join(folder, name);
    const { mtimeMs } = statSync(file, { throwIfNoEntry: false }) ?? { mtimeMs: Date.now() };
    if (Date.now() - mtimeMs > STALE_MS) rmSync(file, { force: true });
  }
}
