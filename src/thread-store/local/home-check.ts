import { statSync } from 'node:fs';
import path from 'node:path';
import type { ThreadId } from '../../protocol/ids.js';
import { resolveLineage } from '../../rollout/lineage.js';
import type { RolloutFile } from '../../rollout/rollout-catalog.js';
import type { RolloutLibrary } from '../../rollout/rollout-library.js';
import { isNoThread } from '../../rollout/rollout-metadata.js';
import { SpawnEdgeRows } from '../../state/spawn-edge-rows.js';
import type { StateDb } from '../../state/state-db.js';
import { type ThreadRow, ThreadRows } from '../../state/thread-rows.js';
import { rowOwnName } from './stored-thread.js';

/** One thing that disagrees, and what to do about it. */
export interface Finding {
  readonly kind: string;
  readonly threadId: string | undefined;
  readonly problem: string;
  readonly remedy: string;
}

export interface HomeCheck {
  readonly rollouts: number;
  readonly rows: number;
  readonly edges: number;
  readonly names: number;
  readonly findings: readonly Finding[];
}

const REPAIRED = 'threadkeeper repairs it when it reads the thread (read_thread, or threadkeeper show).';
const REINDEX = 'Start Codex once: it indexes what it finds.';
/** Ours is brought in line by ourselves. */
const RESYNC = 'threadkeeper backfill brings its index in line.';

/** Compares rollouts, rows, names and edges of a home. Reads only. */
export async function checkHome(library: RolloutLibrary, stateDb: StateDb | undefined): Promise<HomeCheck> {
  const { catalog, names } = library;
  catalog.refresh();
  const findings: Finding[] = catalog.passedOver.map((file) =>
    finding(
      'not followed',
      undefined,
      `${file} is a link out of the home, or cannot be read`,
      'Move the files themselves into the home.',
    ),
  );
  const ids = [...catalog.threadIds()];
  for (const threadId of ids) findings.push(...(await rolloutFindings(library, threadId)));
  const rows = stateDb
    ? await stateDb.read(() => new Map(new ThreadRows(stateDb).each().map((row) => [row.id, row])))
    : undefined;
  const edges = stateDb ? await stateDb.read(() => new SpawnEdgeRows(stateDb).all()) : [];
  if (rows) {
    for (const row of rows.values()) findings.push(...rowFindings(library, row, stateDb?.owner === 'codex'));
    for (const id of ids) {
      if (!rows.has(id)) findings.push(finding('no row', id, 'the rollout has no row in the state DB', REINDEX));
    }
    for (const edge of edges) {
      if (rows.has(edge.childThreadId)) continue;
      findings.push(
        finding(
          'orphan edge',
          edge.childThreadId,
          `spawned by ${edge.parentThreadId}, but the thread is gone`,
          'Nothing needs to be done.',
        ),
      );
    }
  }
  if (names.problem !== undefined) findings.push(finding('names', undefined, names.problem, 'Make the file readable.'));
  const isOurs = stateDb?.owner === 'threadkeeper';
  const named = [...names.entries().values()].filter((name) => name !== '').length;
  return {
    rollouts: ids.length,
    rows: rows?.size ?? 0,
    edges: edges.length,
    names: named,
    findings: isOurs ? findings.map(withOwnRemedy) : findings,
  };
}

async function rolloutFindings(library: RolloutLibrary, threadId: ThreadId): Promise<Finding[]> {
  const [file] = library.catalog.filesOf(threadId);
  if (!file) return [];
  const name = path.relative(library.home.root, file.path);
  try {
    const { metadata } = await library.summaries.head(file);
    if (isNoThread(metadata)) {
      return [
        finding(
          'no thread',
          threadId,
          `${name} holds no thread (${statSync(file.path).size} bytes)`,
          'Restore it from a backup, or remove it.',
        ),
      ];
    }
    if (!metadata.meta)
      return [
        finding('no session_meta', threadId, `${name} has no session_meta`, 'Codex cannot read it; threadkeeper can.'),
      ];
    return [
      ...ownerFindings(file, metadata.meta.id, name),
      ...(await lineageFindings(library, file, threadId, metadata.meta.historyBase !== undefined)),
    ];
  } catch (error) {
    return [
      finding(
        'unreadable',
        threadId,
        `${name}: ${error instanceof Error ? error.message : error}`,
        'Check the permissions of the file.',
      ),
    ];
  }
}

function ownerFindings(file: RolloutFile, id: ThreadId, name: string): Finding[] {
  if (id === file.threadId) return [];
  return [
    finding(
      'named after another',
      id,
      `${name} holds thread ${id}`,
      'Nothing needs to be done: what the file says counts.',
    ),
  ];
}

async function lineageFindings(
  library: RolloutLibrary,
  file: RolloutFile,
  threadId: ThreadId,
  hasBase: boolean,
): Promise<Finding[]> {
  if (!hasBase) return [];
  const { problem } = await resolveLineage(file, library.catalog, threadId);
  return problem === undefined
    ? []
    : [finding('history', threadId, problem, 'Restore the missing rollout from a backup; what is left can be read.')];
}

function rowFindings(library: RolloutLibrary, row: ThreadRow, isCodexs: boolean): Finding[] {
  const { catalog, home, names } = library;
  const findings: Finding[] = [];
  const local = home.localPath(row.rolloutPath);
  const [file] = catalog.filesOf(row.id as ThreadId);
  const isAt = file && local && [local, `${local}.zst`, local.replace(/\.zst$/, '')].includes(file.path);
  if (local === undefined) {
    findings.push(
      finding(
        'row outside',
        row.id,
        `its row points out of the home: ${row.rolloutPath}`,
        'A copied home: delete state_*.sqlite in the copy, and start Codex.',
      ),
    );
  } else if (!file && !statSync(local, { throwIfNoEntry: false })) {
    findings.push(
      finding(
        'row without file',
        row.id,
        `its rollout is gone: ${row.rolloutPath}`,
        'Delete the thread in Codex, or restore the file.',
      ),
    );
  } else if (file && !isAt && file.rolloutId === row.id) {
    findings.push(
      finding(
        'row elsewhere',
        row.id,
        `its row points at ${row.rolloutPath}, the file is ${path.relative(home.root, file.path)}`,
        REPAIRED,
      ),
    );
  } else if (file && file.isArchived !== row.isArchived) {
    findings.push(
      finding(
        'archived state',
        row.id,
        `its row says ${row.isArchived ? 'archived' : 'active'}, its file is ${file.isArchived ? 'archived' : 'active'}`,
        REPAIRED,
      ),
    );
  }
  const indexed = names.nameOf(row.id as ThreadId);
  if (isCodexs && indexed !== undefined && indexed !== rowOwnName(row) && indexed !== row.firstUserMessage.trim()) {
    findings.push(
      finding(
        'name',
        row.id,
        `its row says ${JSON.stringify(rowOwnName(row) ?? '')}, the name index ${JSON.stringify(indexed)}`,
        'Start the threadkeeper server once, or set the name again.',
      ),
    );
  }
  return findings;
}

function finding(kind: string, threadId: string | undefined, problem: string, remedy: string): Finding {
  return { kind, threadId, problem, remedy };
}

/** What disagrees with our own index is for us to mend. */
function withOwnRemedy(found: Finding): Finding {
  return /row|archived state/.test(found.kind) ? { ...found, remedy: RESYNC } : found;
}
