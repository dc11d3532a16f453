import { type OpenOptions, openThreadkeeper, readOnlyOptions } from '../app/open.js';
import type { LocalThreadkeeper, OpenLocalOptions } from '../app/open-local.js';
import type { StoreOptions } from '../app/store-options.js';
import { VERSION } from '../version.js';
import { backfill } from './commands/backfill.js';
import { doctor } from './commands/doctor.js';
import { list } from './commands/list.js';
import { serve } from './commands/serve.js';
import { show } from './commands/show.js';
import { endQuietlyWithoutReader } from './output.js';
import { parseCommand } from './parse-command.js';
import { progressOn } from './progress.js';
import { print, reportErrors, warn } from './report.js';
import { usage } from './usage.js';

/** Runs the program; returns its exit code. */
export async function run(args: readonly string[]): Promise<number> {
  const command = parseCommand(args, process.env);
  if (command.kind !== 'serve') endQuietlyWithoutReader(process.stdout);
  switch (command.kind) {
    case 'help':
      print(usage());
      return 0;
    case 'version':
      print(`${VERSION}\n`);
      return 0;
    case 'usageError':
      warn(`${command.message}\nTry: threadkeeper --help`);
      return 2;
    case 'serve':
      return await serve(command.options);
    case 'list':
      return await once(openThreadkeeper(withReadOnly(command.options), warn), async ({ manager }) =>
        print(await list(manager, command)),
      );
    case 'show':
      return await once(openThreadkeeper(withReadOnly(command.options), warn), async ({ manager }) =>
        print(await show(manager, command)),
      );
    case 'backfill':
      return await once(openHome({ ...command.options, indexUse: 'create', ...waitForever() }), (parts) =>
        backfill(parts, command),
      );
    case 'import':
    case 'export':
      return await reportErrors(async () => {
        const commands = await import('./commands/copy.js');
        const onProgress = progressOn(process.stderr, 'copying threads');
        const action = command.kind === 'import' ? commands.importCommand : commands.exportCommand;
        const { report, isComplete } = await action({ ...command.copy, onProgress, warn });
        print(report);
        return isComplete ? 0 : 1;
      });
    case 'doctor': {
      const { installationId } = command;
      return await once(openHome({ ...readOnlyOptions(command.options), installationId }), async (parts) => {
        const { report, isHealthy } = await doctor(parts, command);
        print(report);
        return isHealthy;
      });
    }
    default:
      return command satisfies never;
  }
}

/** For a command that only looks. */
function withReadOnly(options: StoreOptions): OpenOptions {
  return options.kind === 'postgres' ? { ...options, readOnly: true } : readOnlyOptions(options);
}

async function openHome(options: OpenLocalOptions): Promise<LocalThreadkeeper> {
  const { openLocal } = await import('../app/open-local.js');
  return await openLocal(options, warn);
}

function waitForever(): Pick<OpenLocalOptions, 'backfillWaitMs' | 'onBackfillProgress'> {
  return { backfillWaitMs: 2 ** 31 - 1, onBackfillProgress: progressOn(process.stderr, 'indexing rollouts') };
}

/** Runs one command; an error is a message and exit code 1, as is a command that answers false. */
async function once<T extends { close(): Promise<void> }>(
  opening: Promise<T>,
  action: (parts: T) => Promise<unknown>,
): Promise<number> {
  return await reportErrors(async () => {
    const parts = await opening;
    try {
      return (await action(parts)) === false ? 1 : 0;
    } finally {
      await parts.close();
    }
  });
}
