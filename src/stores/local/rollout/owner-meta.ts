import { parseRolloutLine } from '../../../protocol/rollout-line.js';
import { parseSessionMeta, type SessionMeta } from '../../../protocol/session-meta.js';
import { lineText, readLines } from './line-reader.js';
import { openPlain, openRollout, type RolloutBytes } from './rollout-bytes.js';
import type { RolloutFile } from './rollout-file.js';

const HEAD_SCAN_LINES = 50;

/** A file whose name may hold no id. */
type Named = Pick<RolloutFile, 'path' | 'isCompressed'> & { readonly threadId: RolloutFile['threadId'] | undefined };

/**
 * The session_meta that owns a rollout: of those among its first lines the one with the id in the file's name, else the
 * first. A fork's file can begin with the session_meta of its source.
 */
export async function ownMeta(file: RolloutFile): Promise<SessionMeta | undefined> {
  const source = await openRollout(file.path, { headBytes: 512 * 1024 });
  try {
    return metaAtHead(source, file);
  } finally {
    source.close();
  }
}

/** As `ownMeta`, at once; undefined for a file that is compressed or cannot be read. */
export function firstMetaNow(file: Named): SessionMeta | undefined {
  if (file.isCompressed) return undefined;
  try {
    const source = openPlain(file.path);
    try {
      return metaAtHead(source, file);
    } finally {
      source.close();
    }
  } catch {
    return undefined;
  }
}

function metaAtHead(source: RolloutBytes, { threadId }: Pick<Named, 'threadId'>): SessionMeta | undefined {
  let first: SessionMeta | undefined;
  let seen = 0;
  let isOwnFound = false;
  for (const raw of readLines(source)) {
    const line = raw.isCut ? undefined : parseRolloutLine(lineText(raw));
    // A line with an ordinal makes a rollout paginated, whatever its session_meta says.
    if (first && line?.ordinal !== undefined) first = { ...first, historyMode: 'paginated' };
    if (isOwnFound) return first;
    const meta = line && parseSessionMeta(line);
    if (meta && (!first || meta.id === threadId)) first = meta;
    isOwnFound = first !== undefined && first.id === threadId;
    if (isOwnFound && first?.historyMode === 'paginated') return first;
    seen += 1;
    if (seen >= HEAD_SCAN_LINES) break;
  }
  return first;
}
