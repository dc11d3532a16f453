import { v7 } from 'uuid';
import type { ThreadId } from '../protocol/ids.js';

/** A fresh UUID of version 7, as Codex makes them: ids sort by time. */
export function newId(): string {
  return v7();
}

export function newThreadId(): ThreadId {
  return v7() as ThreadId;
}
