import { z } from 'zod';
import type { MetadataUpdate } from '../thread-store/thread-store.js';
import { present, threadSchema, threadView } from './thread-view.js';

/** What the tools that change metadata answer. */
export const updateOutput = z.object({ thread: threadSchema, warnings: z.array(z.string()).optional() });

export function updateResult({ thread, warnings }: MetadataUpdate): z.output<typeof updateOutput> {
  return present({ thread: threadView(thread), warnings: warnings.length > 0 ? [...warnings] : undefined });
}
