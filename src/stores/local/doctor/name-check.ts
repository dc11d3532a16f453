import type { RolloutLibrary } from '../rollout/rollout-library.js';
import type { ThreadRow } from '../state-db/thread-rows.js';
import { nameInRow } from '../thread-from-home.js';
import { type Finding, finding } from './finding.js';
import type { CheckedRollout } from './rollout-check.js';

const SET_AGAIN = 'Start the threadkeeper server once, or set the name again.';

/** Compares the name index with the threads that exist, and with Codex's rows if there are any. */
export function nameFindings(
  { names }: RolloutLibrary,
  rollouts: ReadonlyMap<string, CheckedRollout>,
  rows: ReadonlyMap<string, ThreadRow> | undefined,
): Finding[] {
  const findings: Finding[] = [];
  for (const [id, indexed] of names.entries()) {
    const row = rows?.get(id);
    if (!rollouts.has(id) && !row && indexed !== '') {
      const problem = `the name index has ${JSON.stringify(indexed)} for it, and there is no such thread`;
      findings.push(finding('name of no thread', id, problem, 'Nothing needs to be done.'));
    }
    if (!row) continue;
    const inRow = nameInRow(row) ?? '';
    // The row of a legacy thread that was continued holds the first message again: then the index's name counts.
    if (inRow === indexed || (inRow === '' && row.historyMode !== 'paginated')) continue;
    const problem = `its row says ${JSON.stringify(inRow)}, the name index ${JSON.stringify(indexed)}`;
    findings.push(finding('name', id, problem, SET_AGAIN));
  }
  if (names.problem !== undefined) findings.push(finding('names', undefined, names.problem, 'Make the file readable.'));
  return findings;
}
