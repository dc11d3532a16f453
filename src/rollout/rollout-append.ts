import { closeSync, fstatSync, writeSync } from 'node:fs';
import { invalidRequest, unsupported } from '../protocol/errors.js';
import { asIndex, asNumber, asObject, parseJson } from '../protocol/json.js';
import type { GitInfo, SessionMeta } from '../protocol/session-meta.js';
import { isBlank, lineText, readLinesBackward } from './line-reader.js';
import { openToAppend } from './regular-file.js';
import { RolloutBytes } from './rollout-bytes.js';
import type { RolloutFile } from './rollout-catalog.js';

/** What a slim session_meta line changes: an absent key keeps what earlier lines said. */
export interface SlimMetaChange {
  /** All parts as they are to be from now on; `{}` clears all. */
  readonly git?: GitInfo | undefined;
  readonly memoryMode?: string | undefined;
}

/** A rollout that is open, and known to take another line. */
export interface SlimAppender {
  append(change: SlimMetaChange): void;
  close(): void;
}

/**
 * Opens a rollout for one more session_meta line with the required keys and what changes, but without the instructions
 * that Codex repeats (docs/codex-home.md, Slim lines). A paginated rollout gets the next ordinal. Call it with the
 * thread's writer lock held. A write that fails half-way (a full disk) may leave a torn line, which every reader skips
 * and the next writer ends with a newline; nothing is ever cut off a rollout, and none is made.
 */
export function openSlimAppender(file: RolloutFile, meta: SessionMeta): SlimAppender {
  if (file.isCompressed) {
    throw unsupported(
      'this thread is compressed (.jsonl.zst) and cannot be appended to',
      'Resume it once in Codex, which unpacks it, then call again.',
    );
  }
  const fd = openToAppend(file.path);
  try {
    const { size } = fstatSync(fd);
    const tail = readTail(new RolloutBytes(fd, size));
    const ordinal = meta.historyMode === 'paginated' ? { ordinal: nextOrdinal(tail.lastOrdinal) } : {};
    return {
      append(change) {
        const timestamp = new Date().toISOString();
        const line = { timestamp, ...ordinal, type: 'session_meta', payload: slimPayload(meta, change) };
        writeWhole(fd, `${tail.isTerminated ? '' : '\n'}${JSON.stringify(line)}\n`);
      },
      close: () => closeSync(fd),
    };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function nextOrdinal(last: number | undefined): number {
  const next = asIndex((last ?? Number.NaN) + 1);
  if (next !== undefined) return next;
  throw invalidRequest(
    'the last line of this paginated thread has no ordinal that could be followed, so nothing can be appended to it',
    'Nothing was changed. Codex refuses to resume a thread without ordinals too; a name can be set.',
  );
}

function slimPayload(meta: SessionMeta, change: SlimMetaChange): Record<string, unknown> {
  const source = meta.source.stored.startsWith('{') ? parseJson(meta.source.stored) : meta.source.stored;
  return {
    id: meta.id,
    timestamp: meta.timestamp,
    cwd: meta.cwd,
    originator: meta.originator ?? '',
    cli_version: meta.cliVersion ?? '',
    source,
    ...(meta.modelProvider === undefined ? {} : { model_provider: meta.modelProvider }),
    ...(change.memoryMode === undefined ? {} : { memory_mode: change.memoryMode }),
    history_mode: meta.historyMode,
    ...(change.git === undefined ? {} : { git: gitPayload(change.git) }),
  };
}

function gitPayload(git: GitInfo): Record<string, string> {
  return {
    ...(git.sha === undefined ? {} : { commit_hash: git.sha }),
    ...(git.branch === undefined ? {} : { branch: git.branch }),
    ...(git.originUrl === undefined ? {} : { repository_url: git.originUrl }),
  };
}

/** The ordinal of the last line that parses, and whether the file ends with a newline. */
function readTail(source: RolloutBytes): { lastOrdinal: number | undefined; isTerminated: boolean } {
  const last = Buffer.alloc(1);
  const isTerminated = source.size === 0 || (source.read(last, source.size - 1) === 1 && last[0] === 0x0a);
  for (const line of readLinesBackward(source)) {
    if (isBlank(line)) continue;
    const ordinal = line.isCut ? ordinalInHead(line.bytes) : asObject(parseJson(lineText(line)));
    if (ordinal === undefined) continue;
    return { lastOrdinal: typeof ordinal === 'number' ? ordinal : asNumber(ordinal['ordinal']), isTerminated };
  }
  return { lastOrdinal: undefined, isTerminated };
}

function ordinalInHead(bytes: Buffer): number | undefined {
  const match = /"ordinal":(\d+)/.exec(bytes.toString('latin1', 0, 200));
  return match ? Number(match[1]) : undefined;
}

function writeWhole(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  let written = 0;
  while (written < bytes.length) written += writeSync(fd, bytes, written);
}
