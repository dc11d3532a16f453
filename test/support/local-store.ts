import { onTestFinished } from 'vitest';
import { bootstrap, type Threadkeeper } from '../../src/bootstrap.js';
import type { ServeOptions } from '../../src/cli.js';

/** The parts of the server over a home, as the program puts them together; `warnings` is what it said to a person. */
export async function open(
  home: string,
  options: Partial<ServeOptions> = {},
): Promise<Threadkeeper & { warnings: string[] }> {
  const warnings: string[] = [];
  const serve = { home, sqliteHome: undefined, useStateDb: true, readOnly: false, ...options };
  const threadkeeper = await bootstrap(serve, (message) => warnings.push(message));
  onTestFinished(() => threadkeeper.close());
  return { ...threadkeeper, warnings };
}
