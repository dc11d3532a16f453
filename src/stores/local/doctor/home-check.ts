import type { RolloutLibrary } from '../rollout/rollout-library.js';
import { SpawnEdgeRows } from '../state-db/spawn-edge-rows.js';
import type { StateDb } from '../state-db/state-db.js';
import { ThreadRows } from '../state-db/thread-rows.js';
import { edgeFindings } from './edge-check.js';
import { type Finding, finding } from './finding.js';
import { nameFindings } from './name-check.js';
import { type CheckedRollout, checkRollout } from './rollout-check.js';
import { rowFindings } from './row-check.js';

export interface HomeCheck {
  readonly rollouts: number;
  readonly rows: number;
  readonly edges: number;
  readonly names: number;
  readonly findings: readonly Finding[];
}

const REINDEX = 'Start Codex once: it indexes what it finds. Where it does not, only threadkeeper lists the thread.';
const NOT_READ =
  'A link: only sessions and archived_sessions themselves may be links, so put the real directory in its place. Else give the user that runs threadkeeper permission to read it.';
const COPY =
  'Nothing needs to be done: the thread is read from the file of its own name. Compare both before you move one away.';
/** Ours is brought in line by ourselves. */
const RESYNC = 'threadkeeper backfill brings its index in line.';

/** Compares rollouts, rows, names and edges of a home. Reads only. */
export async function checkHome(library: RolloutLibrary, stateDb: StateDb | undefined): Promise<HomeCheck> {
  const { catalog, names } = library;
  catalog.refresh();
  const isIndex = stateDb?.owner === 'threadkeeper';
  const rollouts = new Map<string, CheckedRollout>();
  for (const threadId of [...catalog.threadIds()]) {
    const checked = await checkRollout(library, threadId);
    if (checked) rollouts.set(checked.meta?.id ?? threadId, checked);
  }
  const findings: Finding[] = [];
  // Not by spreading: there can be more findings than a call takes arguments.
  const add = (found: readonly Finding[]) => {
    for (const each of found) findings.push(each);
  };
  for (const checked of rollouts.values()) add(checked.findings);
  for (const { path: file, why } of catalog.skipped) {
    add([finding('not read', undefined, `${file} (${why})`, NOT_READ)]);
  }
  for (const file of catalog.copies) add([finding('copy', undefined, `${file} is a copy that is left out`, COPY)]);
  const rows =
    stateDb && (await stateDb.read(() => new Map(new ThreadRows(stateDb).each().map((row) => [row.id, row]))));
  const edges = stateDb ? await stateDb.read(() => new SpawnEdgeRows(stateDb).all()) : [];
  if (rows) {
    for (const row of rows.values()) add(await rowFindings(library, row, isIndex));
    for (const [id, { holdsThread }] of rollouts) {
      if (rows.has(id) || !holdsThread) continue;
      add([finding('no row', id, 'the rollout has no row in the state DB', REINDEX)]);
    }
    add(edgeFindings(rollouts, edges));
  }
  add(nameFindings(library, rollouts, isIndex ? undefined : rows));
  return {
    rollouts: rollouts.size,
    rows: rows?.size ?? 0,
    edges: edges.length,
    names: [...names.entries().values()].filter((name) => name !== '').length,
    findings: isIndex ? findings.map(withIndexRemedy) : findings,
  };
}

/** A finding about the index itself gets RESYNC as its remedy. */
function withIndexRemedy(found: Finding): Finding {
  return /row|archived state|edge/.test(found.kind) ? { ...found, remedy: RESYNC } : found;
}
