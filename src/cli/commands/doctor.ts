import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import type { LocalThreadkeeper } from '../../app/open-local.js';
import type { Finding } from '../../stores/local/doctor/finding.js';
import { checkHome } from '../../stores/local/doctor/home-check.js';
import { jsonLine } from '../terminal-text.js';

export interface DoctorOptions {
  readonly json: boolean;
}

/** Of each kind of finding so many are shown; `--json` has every one. */
const SHOWN_OF_A_KIND = 3;

/** What the home says of itself, and what in it disagrees. `isHealthy` is false when anything does. */
export async function doctor(
  parts: LocalThreadkeeper,
  { json }: DoctorOptions,
): Promise<{ report: string; isHealthy: boolean }> {
  // Ours may turn out not to be filled.
  await parts.backfilled;
  const { manager, library, stateDb: handle, otherStateDbs, installationId } = parts;
  const check = await checkHome(library, handle.db);
  const stateDbProblem = problemOf(parts);
  const { absence } = parts.library.home;
  const isHealthy = check.findings.length === 0 && stateDbProblem === undefined && absence === undefined;
  const stateDb = handle.db && path.basename(handle.db.file);
  if (json) {
    const facts = { home: library.home.root, absence, installationId, stateDb, stateDbProblem, otherStateDbs };
    return { report: jsonLine({ ...facts, ...check }), isHealthy };
  }
  const lines = [
    `home: ${manager.capabilities.description}`,
    ...(absence === undefined ? [] : [absence]),
    `installation: ${installationId ?? 'unknown'}`,
    ...otherStateDbs.map(({ file, why }) => `state DB that is not used: ${file} (${why})`),
    `${check.rollouts} threads in files, ${check.rows} rows, ${check.edges} spawn edges, ${check.names} names`,
    ...(stateDbProblem === undefined ? [] : [`state DB: ${stateDbProblem}`]),
    ...(absence === undefined ? byKind(check.findings) : []),
    isHealthy
      ? `Everything agrees.${stateDb === undefined ? ' There is no state DB to compare with.' : ''}`
      : absence === undefined
        ? verdict(check.findings.length, stateDbProblem !== undefined)
        : 'There was nothing to compare.',
  ];
  return { report: `${lines.join('\n')}\n`, isHealthy };
}

/** Why the state DB that counts could not be compared, or could not be written. */
function problemOf({ stateDb: { status }, indexProblem }: LocalThreadkeeper): string | undefined {
  switch (status.kind) {
    case 'waiting':
      return `${status.reason}. Files are read, and no thread can be named, changed or archived. If the DB is damaged, start Codex: it makes a new one. If it may not be read, give the user that runs threadkeeper permission. If config.toml is at fault, mend it.`;
    case 'codex':
      return isWritable(status.db.file)
        ? undefined
        : `${status.db.file} may not be written, so no thread can be changed`;
    default:
      return indexProblem && `${indexProblem}. threadkeeper backfill makes its index anew.`;
  }
}

function isWritable(file: string): boolean {
  try {
    for (const each of [file, path.dirname(file)]) accessSync(each, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** The findings, those of one kind and with one remedy together. */
function byKind(findings: readonly Finding[]): string[] {
  const groups = new Map<string, Finding[]>();
  for (const found of findings) {
    const key = `${found.kind}\n${found.remedy}`;
    const group = groups.get(key);
    if (group) group.push(found);
    else groups.set(key, [found]);
  }
  return [...groups.values()].flatMap((group) => {
    const shown = group
      .slice(0, SHOWN_OF_A_KIND)
      .map(({ kind, threadId, problem }) => `${kind}: ${threadId ? `${threadId} ` : ''}${problem}`);
    const rest = group.length - shown.length;
    const more = rest > 0 ? [`  … and ${rest} more of this kind (--json lists all)`] : [];
    return [...shown, ...more, `    ${group[0]?.remedy}`];
  });
}

function verdict(count: number, hasDbProblem: boolean): string {
  if (count === 0) return 'No differences were found, but the state DB could not be compared, or cannot be written.';
  const things = count === 1 ? '1 thing disagrees.' : `${count} things disagree.`;
  return hasDbProblem ? `${things} The state DB could not be compared, or cannot be written.` : things;
}
