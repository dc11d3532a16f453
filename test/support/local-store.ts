import { onTestFinished } from 'vitest';
import { type BootstrapOptions, bootstrap, type Threadkeeper } from '../../src/bootstrap.js';

/** The parts of the server over a home, as the program puts them together; `warnings` is what it said to a person. */
export async function open(
  home: string,
  options: Partial<BootstrapOptions> = {},
): Promise<Threadkeeper & { warnings: string[] }> {
  const warnings: string[] = [];
  const all = {
    home,
    sqliteHome: undefined,
    useStateDb: true,
    readOnly: false,
    ownStateDb: 'never',
    ...options,
  } as const;
  const threadkeeper = await bootstrap(all, (message) => warnings.push(message));
  onTestFinished(() => threadkeeper.close());
  return { ...threadkeeper, warnings };
}
