import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Threadkeeper } from '../bootstrap.js';
import { checkHome } from '../thread-store/local/home-check.js';

export interface DoctorOptions {
  readonly json: boolean;
}

/** What the home says of itself, and what in it disagrees. `isHealthy` is false when anything does. */
export async function doctor(
  { manager, library, slot, stateDbProblem }: Threadkeeper,
  installationId: string | undefined,
  { json }: DoctorOptions,
): Promise<{ report: string; isHealthy: boolean }> {
  const check = await checkHome(library, slot.current);
  const isHealthy = check.findings.length === 0 && stateDbProblem === undefined;
  const stateDb = slot.current && path.basename(slot.current.file);
  if (json)
    return {
      report: `${JSON.stringify({ home: library.home.root, installationId, stateDb, stateDbProblem, ...check })}\n`,
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
    isHealthy ? 'Everything agrees.' : `${check.findings.length} things disagree.`,
  ];
  return { report: `${lines.join('\n')}\n`, isHealthy };
}

/** The id of this installation of Codex: as given, else what the home's `installation_id` says. Read once. */
export function installationIdOf(home: string, given: string | undefined): string | undefined {
  if (given !== undefined) return given;
  try {
    const file = path.join(home, 'installation_id');
    return statSync(file).isFile() ? readFileSync(file, 'utf8').trim().slice(0, 100) || undefined : undefined;
  } catch {
    return undefined;
  }
}
