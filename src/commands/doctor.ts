import path from 'node:path';
import type { HomeThreadkeeper } from '../bootstrap-home.js';
import { jsonLine } from '../terminal-text.js';
import { checkHome } from '../thread-store/local/check/home-check.js';

export interface DoctorOptions {
  readonly json: boolean;
}

/** What the home says of itself, and what in it disagrees. `isHealthy` is false when anything does. */
export async function doctor(
  parts: HomeThreadkeeper,
  { json }: DoctorOptions,
): Promise<{ report: string; isHealthy: boolean }> {
  // Ours may turn out not to be filled.
  await parts.backfilled;
  const { manager, library, stateDb: handle, indexProblem, installationId } = parts;
  const { status } = handle;
  const stateDbProblem = status.kind === 'waiting' ? status.reason : indexProblem;
  const check = await checkHome(library, handle.db);
  const isHealthy = check.findings.length === 0 && stateDbProblem === undefined;
  const stateDb = handle.db && path.basename(handle.db.file);
  if (json)
    return {
      report: jsonLine({ home: library.home.root, installationId, stateDb, stateDbProblem, ...check }),
      isHealthy,
    };
  const lines = [
    `home: ${manager.capabilities.description}`,
    `installation: ${installationId ?? 'unknown'}`,
    `${check.rollouts} threads in files, ${check.rows} rows, ${check.edges} spawn edges, ${check.names} names`,
    ...(stateDbProblem === undefined
      ? []
      : [
          `state DB: ${stateDbProblem}`,
          '    Files serve. One of our own is made anew by threadkeeper backfill, Codex mends its own.',
        ]),
    ...check.findings.map(
      ({ kind, threadId, problem, remedy }) => `${kind}: ${threadId ? `${threadId} ` : ''}${problem}\n    ${remedy}`,
    ),
    isHealthy
      ? `Everything agrees.${stateDb === undefined ? ' There is no state DB to compare with.' : ''}`
      : verdict(check.findings.length + (stateDbProblem === undefined ? 0 : 1)),
  ];
  return { report: `${lines.join('\n')}\n`, isHealthy };
}

function verdict(count: number): string {
  return count === 1 ? '1 thing disagrees.' : `${count} things disagree.`;
}
