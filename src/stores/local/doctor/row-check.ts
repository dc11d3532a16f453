import { statSync } from 'node:fs';
import path from 'node:path';
import { asThreadId } from '../../../protocol/ids.js';
import { storedSessionSource } from '../../../protocol/session-source.js';
import { ownMeta } from '../rollout/owner-meta.js';
import type { RolloutFile } from '../rollout/rollout-file.js';
import type { RolloutLibrary } from '../rollout/rollout-library.js';
import type { RolloutMetadata } from '../rollout/rollout-metadata.js';
import type { ThreadRow } from '../state-db/thread-rows.js';
import { findRowFile } from '../thread-resolver.js';
import { type Finding, finding } from './finding.js';

const REPAIRED = 'threadkeeper repairs it when its server starts, or when it reads the thread.';
const OUTSIDE =
  'Two cases. A home that is shared with another system (WSL, a container): nothing needs to be done, the path is right there. A copy of a home: give Codex an empty directory as CODEX_SQLITE_HOME, or copy again without state_*.sqlite*; Codex then makes the rows anew from the files.';
const WITHOUT_FILE =
  'Two cases. The file was moved, or is not synced yet: bring it back to that path. The thread was deleted: nothing needs to be done, no list shows it.';
const REBUILT = 'Codex takes the values of the rollout when it indexes the thread again.';

/** Compares the path and the metadata of a row with its rollout. */
export async function rowFindings(library: RolloutLibrary, row: ThreadRow, isIndex: boolean): Promise<Finding[]> {
  const { catalog, home } = library;
  const threadId = asThreadId(row.id);
  const found = (kind: string, problem: string, remedy: string) => [finding(kind, row.id, problem, remedy)];
  if (threadId === undefined)
    return found('row without id', 'its id is no thread id', 'Nothing needs to be done: no list shows it.');
  const local = home.localPath(row.rolloutPath);
  if (local === undefined) {
    return found('row outside', `its row points out of the home: ${row.rolloutPath}`, OUTSIDE);
  }
  const at = findRowFile(home, row);
  const owner = at && (await ownMeta(at).catch(() => undefined))?.id;
  const [file] = catalog.filesFor(threadId);
  if (at && owner !== undefined && owner !== threadId) {
    return found('row of another', `its row points at the rollout of thread ${owner}`, REPAIRED);
  }
  if (!file && !at) {
    // That its directory cannot be read is told once for all.
    if (catalog.hiddenBehind(local)) return [];
    return found('row without file', `its rollout is not in the home: ${row.rolloutPath}`, WITHOUT_FILE);
  }
  if (file && at?.path !== file.path && !(at && at.rolloutId !== threadId)) {
    const where = path.relative(home.root, file.path);
    return found('row elsewhere', `its row points at ${row.rolloutPath}, the file is ${where}`, REPAIRED);
  }
  const current = at ?? file;
  if (!current) return [];
  if (current.isArchived !== row.isArchived) {
    const [rowSays, fileSays] = [row.isArchived, current.isArchived].map((is) => (is ? 'archived' : 'active'));
    return found('archived state', `its row says ${rowSays}, its file is ${fileSays}`, REPAIRED);
  }
  if (isIndex) return isBehind(current, row) ? found('row behind', 'its rollout has changed since', REBUILT) : [];
  const differing = await differences(library, current, row);
  if (differing.length === 0) return [];
  return found('row differs', `its row and its rollout disagree on ${differing.join(', ')}`, REBUILT);
}

function isBehind(file: RolloutFile, row: ThreadRow): boolean {
  return statSync(file.path, { throwIfNoEntry: false })?.size !== row.rolloutSize;
}

/**
 * The fields that Codex keeps in both, and that differ in row and rollout. The head of a file has most of them;
 * the rest is read only if the head differs, as later lines may change a value.
 */
async function differences(library: RolloutLibrary, file: RolloutFile, row: ThreadRow): Promise<string[]> {
  try {
    const head = await library.summaries.head(file);
    if (disagreements(row, head.metadata).length === 0) return [];
    return disagreements(row, (await library.summaries.full(file)).metadata);
  } catch {
    // That it cannot be read is told elsewhere.
    return [];
  }
}

function disagreements(row: ThreadRow, metadata: RolloutMetadata): string[] {
  const { meta, git = {} } = metadata;
  if (!meta) return [];
  const isLegacy = meta.historyMode === 'legacy';
  const source = storedSessionSource(row.source);
  // Codex keeps git patches of paginated threads in its DB alone.
  const facts: [string, unknown, unknown][] = [
    ['source', source.kind, meta.source.kind],
    ['parent', source.spawn?.parentThreadId, meta.source.spawn?.parentThreadId],
    ['history mode', row.historyMode, meta.historyMode],
    // A fork or a reverted thread builds on another file, which may hold its first message; to its reviews and guardians
    // Codex gives texts of its own.
    ...(meta.historyBase || meta.source.role !== undefined ? [] : [firstMessages(row, metadata)]),
    ['cwd', row.cwd, metadata.fields.cwd],
    ...(isLegacy
      ? ([
          [
            'git',
            [row.gitSha, row.gitBranch, row.gitOriginUrl].join(' '),
            [git.sha, git.branch, git.originUrl].join(' '),
          ],
          ['memory mode', row.memoryMode ?? 'enabled', metadata.fields.memoryMode ?? 'enabled'],
        ] as [string, unknown, unknown][])
      : []),
  ];
  return facts.filter(([, inRow, inFile]) => inRow !== inFile).map(([name]) => name);
}

function firstMessages(row: ThreadRow, metadata: RolloutMetadata): [string, unknown, unknown] {
  return ['first message', row.firstUserMessage?.trim() || undefined, metadata.fields.firstUserMessage];
}
