import type { SpawnEdgeRow } from '../state-db/spawn-edge-rows.js';
import { type Finding, finding } from './finding.js';
import type { CheckedRollout } from './rollout-check.js';

const NOTHING = 'Nothing needs to be done.';
const MADE_UP = 'Nothing needs to be done: threadkeeper takes it from the rollout.';
const SORT_OUT =
  'Codex follows its table, threadkeeper too: archive the threads one by one (includeDescendants: false).';

/** Compares the table of spawn edges with the parents that the rollouts name. */
export function edgeFindings(rollouts: ReadonlyMap<string, CheckedRollout>, edges: readonly SpawnEdgeRow[]): Finding[] {
  const parents = new Map(edges.map((edge) => [edge.childThreadId, edge.parentThreadId]));
  const findings: Finding[] = [];
  for (const { childThreadId: child, parentThreadId: parent } of edges) {
    const named = rollouts.get(child)?.meta?.source.spawn?.parentThreadId;
    if (!rollouts.has(child)) {
      findings.push(finding('orphan edge', child, `spawned by ${parent}, but the thread is gone`, NOTHING));
    } else if (named !== undefined && named !== parent) {
      const problem = `its edge says that ${parent} spawned it, its rollout says ${named}`;
      findings.push(finding('edge differs', child, problem, SORT_OUT));
    } else if (!rollouts.has(parent)) {
      findings.push(finding('edge to nothing', child, `the thread that spawned it is gone: ${parent}`, NOTHING));
    }
  }
  for (const [id, { meta }] of rollouts) {
    const parent = meta?.source.spawn?.parentThreadId;
    if (parent === undefined || parents.has(id)) continue;
    findings.push(finding('no edge', id, `the table has no edge from ${parent}, which spawned it`, MADE_UP));
  }
  for (const ring of rings(parents)) {
    const problem = `threads that spawned one another: ${ring.join(', ')}`;
    findings.push(finding('edges in a ring', ring[0], problem, SORT_OUT));
  }
  return findings;
}

/** The cycles among the parents, each once, beginning with its first id. */
function rings(parents: ReadonlyMap<string, string>): string[][] {
  const done = new Set<string>();
  const found: string[][] = [];
  for (const start of parents.keys()) {
    const path: string[] = [];
    let id: string | undefined = start;
    while (id !== undefined && !done.has(id) && !path.includes(id)) {
      path.push(id);
      id = parents.get(id);
    }
    if (id !== undefined && path.includes(id)) found.push(path.slice(path.indexOf(id)).sort());
    for (const each of path) done.add(each);
  }
  return found;
}
