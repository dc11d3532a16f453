import { statSync } from 'node:fs';
import path from 'node:path';
import { systemErrorCode } from '../../../protocol/errors.js';
import type { ThreadId } from '../../../protocol/ids.js';
import type { SessionMeta } from '../../../protocol/session-meta.js';
import { resolveLineage } from '../rollout/lineage.js';
import type { RolloutFile } from '../rollout/rollout-file.js';
import type { RolloutLibrary } from '../rollout/rollout-library.js';
import { isNoThread } from '../rollout/rollout-metadata.js';
import { type Finding, finding } from './finding.js';

/** A rollout as it was found. */
export interface CheckedRollout {
  readonly meta: SessionMeta | undefined;
  /** False for a file that says nothing of any thread, or cannot be read. */
  readonly holdsThread: boolean;
  readonly findings: readonly Finding[];
}

const NO_CONTENT =
  'If the thread is just being started, run doctor again. Otherwise nothing was ever written to it, and nothing needs to be done.';
const UNREADABLE =
  'Give the user that runs threadkeeper permission to read it; or it is damaged, and a backup may help.';
const NAMED = 'Nothing needs to be done: a list goes by what the file says, and both ids find it.';

/** The current file of a thread by its name; undefined when it is gone meanwhile. */
export async function checkRollout(library: RolloutLibrary, threadId: ThreadId): Promise<CheckedRollout | undefined> {
  const [file] = library.catalog.filesFor(threadId);
  if (!file) return undefined;
  const name = path.relative(library.home.root, file.path);
  const bad = (kind: string, problem: string, remedy: string): CheckedRollout => ({
    meta: undefined,
    holdsThread: false,
    findings: [finding(kind, threadId, problem, remedy)],
  });
  try {
    const { metadata } = await library.summaries.head(file);
    const { meta } = metadata;
    if (isNoThread(metadata)) {
      const problem = `${name} has no content (${statSync(file.path).size} bytes)`;
      return bad('no content', problem, NO_CONTENT);
    }
    if (!meta) {
      const found = bad('no session_meta', `${name} has no session_meta`, 'Codex cannot read it; threadkeeper can.');
      return { ...found, holdsThread: true };
    }
    const findings = [
      ...ownerFindings(file, meta.id, name),
      ...copyFindings(library, file),
      ...(meta.historyBase ? await lineageFindings(library, file, threadId) : []),
    ];
    return { meta, holdsThread: true, findings };
  } catch (error) {
    const problem = `${name} cannot be read (${systemErrorCode(error) ?? (error instanceof Error ? error.message : error)})`;
    return bad('unreadable', problem, UNREADABLE);
  }
}

function ownerFindings(file: RolloutFile, id: ThreadId, name: string): Finding[] {
  if (id === file.threadId) return [];
  return [finding('named after another', id, `${name} holds thread ${id}`, NAMED)];
}

function copyFindings({ catalog, home }: RolloutLibrary, file: RolloutFile): Finding[] {
  const copies = catalog.copiesFor(file.rolloutId).filter(({ isExact }) => isExact);
  if (copies.length < 2) return [];
  const names = copies.map((copy) => path.relative(home.root, copy.path)).join(' and ');
  const remedy =
    'A start of the threadkeeper server ends a move that was cut short. Where the files differ, compare them: lists show the first.';
  return [finding('there twice', file.threadId, `its rollout is there twice: ${names}`, remedy)];
}

async function lineageFindings(library: RolloutLibrary, file: RolloutFile, threadId: ThreadId): Promise<Finding[]> {
  const { problem } = await resolveLineage(file, library.catalog, threadId);
  if (problem === undefined) return [];
  return [
    finding('history', threadId, problem, 'Restore the missing rollout from a backup; what is left can be read.'),
  ];
}
