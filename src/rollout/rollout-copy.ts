import { strictJson } from '../protocol/json.js';
import type { RolloutItem } from '../protocol/rollout-item.js';
import { Breather } from './breather.js';
import type { RolloutBytes } from './rollout-bytes.js';
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

async function copyBytes(source: RolloutBytes, end: number, draft: RolloutDraft): Promise<void> {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  const breather = new Breather();
  for (let position = 0; position < end; ) {
    const count = source.read(chunk, position, Math.min(chunk.length, end - position));
    if (count === 0) throw new Error('the rollout was cut while it was read');
    draft.write(chunk.subarray(0, count));
    position += count;
    if (breather.isDue(count)) await breather.breathe();
  }
}
