import { mkdirSync, statSync } from 'node:fs';
import { readOnlyOptions } from '../../app/open.js';
import { type LocalThreadkeeper, type OpenLocalOptions, openLocal } from '../../app/open-local.js';
import { openPostgres, type PostgresThreadkeeper } from '../../app/open-postgres.js';
import { invalidRequest, systemErrorCode, ThreadkeeperError } from '../../protocol/errors.js';
import type { ThreadImporter } from '../../store/thread-importer.js';
import { countThreads } from '../../transfer/all-threads.js';
import { copyThreads } from '../../transfer/copy-threads.js';
import type { CopyReport, ThreadProblem } from '../../transfer/report.js';
import type { CopyCommandOptions } from '../parse-command.js';
import { jsonLine } from '../terminal-text.js';

export interface CopyCommand extends CopyCommandOptions {
  readonly onProgress: (done: number, total: number) => void;
  readonly warn: (message: string) => void;
}

export interface CopyResult {
  readonly report: string;
  /** False when a thread could not be copied. */
  readonly isComplete: boolean;
}

/** Copies all threads of a home to a database. Throws `unsupported` when there is no such home. */
export async function importCommand(command: CopyCommand): Promise<CopyResult> {
  return await copyBetween(command, readOnlyOptions(command.home), async (local, database) => {
    local.library.home.assertUsable();
    const importer = command.dryRun && (await database.isUntouched()) ? NOTHING_THERE : database.importer;
    const source = { reader: local.store, graph: local.graph };
    return reportOf(await copyThreads(source, importer, command), command, {
      where: `threads in ${local.library.home.root}`,
      leftAlone: 'were changed in the database and left alone',
    });
  });
}

/** Serves a dry run where the database has no tables of threadkeeper yet. */
const NOTHING_THERE: ThreadImporter = {
  async add(thread) {
    // A thread that cannot be read is found in a dry run too.
    await thread.version();
    return { state: 'new', items: 0, notes: [] };
  },
  isFatal: () => true,
  addEdge: async () => true,
};

/** Writes all threads of a database into a home, which is made if need be. */
export async function exportCommand(command: CopyCommand): Promise<CopyResult> {
  const { home: directory } = command.home;
  const home = { ...command.home, readOnly: command.dryRun, indexUse: 'never' } as const;
  return await copyBetween(command, home, async (local, database) => {
    const hasRows = local.stateDb.status.kind === 'codex';
    const source = { reader: database.store, graph: database.graph };
    const report = await copyThreads(source, local.importer, command);
    if (!hasRows) {
      report.warnings.push(
        `${directory} has no state DB of Codex: recency and the like follow from the files. ` +
          'To carry all over, start Codex there once before the export.',
      );
    }
    return reportOf(report, command, {
      where: `threads in ${database.store.capabilities.description}`,
      leftAlone: 'were in the home and left alone',
    });
  });
}

async function copyBetween(
  { database: options, dryRun, warn }: CopyCommand,
  home: OpenLocalOptions,
  action: (local: LocalThreadkeeper, database: PostgresThreadkeeper) => Promise<CopyResult>,
): Promise<CopyResult> {
  // What is not written to the home is written to the database.
  const database = openPostgres({ ...options, readOnly: dryRun || !home.readOnly }, warn);
  try {
    // Nothing is made before it is known that there is something to write.
    if (!home.readOnly) {
      await countThreads(database.store);
      makeDirectory(home.home);
    }
    const local = await openLocal(home, warn);
    try {
      return await action(local, database);
    } finally {
      await local.close();
    }
  } finally {
    await database.close();
  }
}

/** Creates the directory, in an existing one, unless it exists. */
function makeDirectory(directory: string): void {
  const stat = statSync(directory, { throwIfNoEntry: false });
  if (stat?.isDirectory()) return;
  const hint = 'Give a directory, or the name for a new one in a directory that exists.';
  if (stat) throw invalidRequest(`${directory} is no directory`, hint);
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    throw new ThreadkeeperError('invalid_request', `${directory} cannot be made (${systemErrorCode(error)})`, hint);
  }
}

interface Words {
  readonly where: string;
  readonly leftAlone: string;
}

const MOST_SHOWN = 20;

function reportOf(report: CopyReport, { json, dryRun }: CopyCommand, words: Words): CopyResult {
  const isComplete = report.failed.length === 0;
  if (json) return { report: jsonLine({ ...report, dryRun }), isComplete };
  const { total, added, updated, unchanged, leftAlone, items, edges, failed, notes, warnings } = report;
  const would = dryRun ? 'would be ' : '';
  const lines = [
    `${total} ${words.where}`,
    `  ${added} ${would}copied${dryRun ? '' : `, ${items} lines of history`}`,
    ...counted(updated, `${would}copied again, as they have changed`),
    ...counted(unchanged, 'are unchanged'),
    ...counted(leftAlone, words.leftAlone),
    ...counted(edges, `spawn edges ${would}copied`),
    ...counted(failed.length, `could not be copied${failed.length > 0 ? ':' : ''}`),
    ...shown(failed),
    ...(notes.length > 0 ? ['notes:', ...shown(notes)] : []),
    ...warnings.map((warning) => `note: ${warning}`),
  ];
  return { report: `${lines.join('\n')}\n`, isComplete };
}

function counted(count: number, what: string): string[] {
  return count > 0 ? [`  ${count} ${what}`] : [];
}

function shown(problems: readonly ThreadProblem[]): string[] {
  const lines = problems.slice(0, MOST_SHOWN).map(({ threadId, problem }) => `    ${threadId}: ${problem}`);
  const rest = problems.length - lines.length;
  return rest > 0 ? [...lines, `    … and ${rest} more (--json lists all)`] : lines;
}
