import { Console } from 'node:console';
import { setTimeout as sleep } from 'node:timers/promises';
import { type OpenOptions, openThreadkeeper } from '../../app/open.js';
import { VERSION } from '../../version.js';
import { greet } from '../greeting.js';
import type { ServeOptions } from '../parse-command.js';
import { progressOn } from '../progress.js';
import { reportErrors, warn } from '../report.js';

/** How long to wait at the end for the parts to close. Running calls were waited for before that. */
const END_MS = 250;

/** Serves MCP on stdin and stdout until the client is gone; returns the exit code. */
export async function serve(options: ServeOptions): Promise<number> {
  // stdout carries the protocol: whatever a library prints goes to stderr.
  globalThis.console = new Console(process.stderr, process.stderr);
  process.on('uncaughtException', (error) => warn(`unforeseen: ${error.stack ?? error.message}`));
  process.on('unhandledRejection', (error) => warn(`unforeseen: ${error instanceof Error ? error.stack : error}`));
  return await reportErrors(async () => {
    const starting = openThreadkeeper(servedParts(options), warn);
    // A home may take its time; a database is not asked yet, and settings that are wrong are told at once.
    if (process.stdin.isTTY || options.store.kind === 'postgres') await starting;
    if (process.stdin.isTTY) await greet(await starting, options.store);
    const { readOnly } = options.store;
    // Loading the protocol takes half of the start time, so the other commands do not load it.
    const { serveStdio } = await import('../../mcp/transports/stdio.js');
    if (!readOnly) starting.then((parts) => parts.repair()).catch((error: Error) => warn(error.message));
    const manager = starting.then((parts) => parts.manager);
    await serveStdio({ manager, readOnly, version: VERSION, log: warn });
    // What still starts then (a backfill, another program's lock) is as safe to be cut short as by a kill.
    await Promise.race([starting.then((parts) => parts.close()), sleep(END_MS)]);
    return 0;
  });
}

function servedParts({ store, ...options }: ServeOptions): OpenOptions {
  const onBackfillProgress = progressOn(process.stderr, 'indexing rollouts');
  return store.kind === 'postgres'
    ? { ...store, idleMs: options.idleMs }
    : { ...store, ...options, indexUse: 'create', onBackfillProgress };
}
