import type { LocalThreadkeeper } from '../../app/open-local.js';
import { print, warn } from '../report.js';
import { jsonLine } from '../terminal-text.js';

/** Waits for the index of a home to be filled and prints what was done. False when there is no index and no state DB. */
export async function backfill(
  { backfilled, stateDb, indexProblem, manager, library }: LocalThreadkeeper,
  { json }: { readonly json: boolean },
): Promise<boolean> {
  const summary = await backfilled;
  const { status } = stateDb;
  // A list brings what was filled before in line with the files, and tells what is left out.
  const query = { filter: { archived: 'include' }, sortBy: 'updatedAt', order: 'desc', limit: 1 } as const;
  const { total, warnings } = stateDb.db ? await manager.listThreads(query) : { total: 0, warnings: [] };
  const problem = ('reason' in status ? status.reason : undefined) ?? indexProblem;
  if (json) print(jsonLine({ stateDb: stateDb.db?.file, problem, ...summary, warnings }));
  else if (status.kind === 'codex') print(`Codex has a state DB here (${status.db.file}); there is nothing to fill.\n`);
  else if (status.kind === 'index') {
    const { indexed = 0, unreadable = [] } = summary ?? {};
    const done = `${indexed} threads indexed, ${unreadable.length} rollouts unreadable`;
    print(`${done}; ${total} threads are listed from ${status.db.file}\n`);
    for (const warning of warnings) print(`note: ${warning}\n`);
  } else {
    const reason = problem ?? library.home.absence ?? 'the home cannot be written';
    warn(`no index was filled: ${reason}`);
  }
  return stateDb.db !== undefined;
}
