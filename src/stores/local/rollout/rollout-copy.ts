import { statSync } from 'node:fs';
import { conflict } from '../../../protocol/errors.js';
import { strictJson } from '../../../protocol/json.js';
import type { RolloutItem } from '../../../protocol/rollout-item.js';
import { TimeSlice } from '../../../protocol/time-slice.js';
import { openPlain, type RolloutBytes } from './rollout-bytes.js';
import { RolloutDraft } from './rollout-draft.js';

const CHUNK_BYTES = 1024 * 1024;

/** Makes a rollout of a first line and the lines of another up to `end`, byte for byte, with bounded memory. */
export async function copyRollout(source: RolloutBytes, end: number, first: RolloutItem, file: string): Promise<void> {
  const draft = new RolloutDraft(file);
  try {
    draft.write(Buffer.from(`${strictJson({ timestamp: new Date().toISOString(), ...first })}\n`));
    await copyBytes(source, end, draft);
    draft.finish();
  } finally {
    draft.close();
  }
}

/**
 * Makes a rollout that is another byte for byte, with its times and permissions, on another file system: it has its name
 * when it is on the disk. An existing one is replaced. Throws `conflict` for a source that changes meanwhile.
 */
export async function copyAcross(from: string, to: string): Promise<void> {
  const source = openPlain(from);
  try {
    await copyInto(new RolloutDraft(to), source, from);
  } finally {
    source.close();
  }
}

async function copyInto(draft: RolloutDraft, source: RolloutBytes, from: string): Promise<void> {
  try {
    const before = statSync(from);
    await copyBytes(source, before.size, draft);
    const { size, mtimeMs } = statSync(from);
    if (size !== before.size || mtimeMs !== before.mtimeMs) {
      throw conflict('the rollout was written while it was copied', 'Nothing was moved. Call again.');
    }
    draft.replace(before);
  } finally {
    draft.close();
  }
}

async function copyBytes(source: RolloutBytes, end: number, draft: RolloutDraft): Promise<void> {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  const slice = new TimeSlice();
  for (let position = 0; position < end; ) {
    const count = source.read(chunk, position, Math.min(chunk.length, end - position));
    if (count === 0) throw new Error('the rollout was cut while it was read');
    draft.write(chunk.subarray(0, count));
    position += count;
    if (slice.isOver) await slice.yield();
  }
}
