import { statSync } from 'node:fs';
import path from 'node:path';
import type { ThreadId } from '../../../protocol/ids.js';
import type { SessionMeta } from '../../../protocol/session-meta.js';
import { resolveLineage } from '../../../rollout/lineage.js';
import type { RolloutFile } from '../../../rollout/rollout-file.js';
import type { RolloutLibrary } from '../../../rollout/rollout-library.js';
import { isNoThread } from '../../../rollout/rollout-metadata.js';
import { type Finding, finding } from './finding.js';

/** A rollout as it was found. */
export interface CheckedRollout {
  readonly meta: SessionMeta | undefined;
  /** False for a file that says nothing of any thread, or cannot be read. */
  readonly holdsThread: boolean;
  readonly findings: readonly Finding[];
}

/** The current file of a thread by its name; undefined when it is gone meanwhile. */
export async function checkRollout(library: RolloutLibrary, threadId: ThreadId): Promise<CheckedRollout | undefined> {
  const [file] = library.catalog.filesOf(threadId);
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
      const problem = `${name} holds no thread (${statSync(file.path).size} bytes)`;
      return bad('no thread', problem, 'Restore it from a backup, or remove it.');
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
    const problem = `${name}: ${error instanceof Error ? error.message : error}`;
    return bad('unreadable', problem, 'Check the permissions of the file.');
  }
}

function ownerFindings(file: RolloutFile, id: ThreadId, name: string): Finding[] {
  if (id === file.threadId) return [];
  const remedy = 'Nothing needs to be done: what the file says counts.';
  return [finding('named after another', id, `${name} holds thread ${id}`, remedy)];
}

function copyFindings({ catalog, home }: RolloutLibrary, file: RolloutFile): Finding[] {
  const copies = catalog.copiesOf(file.rolloutId);
  if (copies.length < 2) return [];
  const names = copies.map((copy) => path.relative(home.root, copy.path)).join(' and ');
  const remedy =
    'A start of the threadkeeper server ends a move that was cut short; two different files are for you to sort out.';
  return [finding('there twice', file.threadId, `its rollout is there twice: ${names}`, remedy)];
}

async function lineageFindings(library: RolloutLibrary, file: RolloutFile, threadId: ThreadId): Promise<Finding[]> {
  const { problem } = await resolveLineage(file, library.catalog, threadId);
  if (problem === undefined) return [];
  return [
    finding('history', threadId, problem, 'Restore the missing rollout from a backup; what is left can be read.'),
  ];
}
