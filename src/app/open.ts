import type { HomeBootstrapOptions } from './open-local.js';
import type { DatabaseBootstrapOptions } from './open-postgres.js';
import type { HomeOptions } from './store-options.js';
import type { Threadkeeper } from './threadkeeper.js';

export type BootstrapOptions = HomeBootstrapOptions | DatabaseBootstrapOptions;

/** The composition root: parts are chosen here and below alone, and only those that are used are loaded. */
export async function bootstrap(options: BootstrapOptions, warn: (message: string) => void): Promise<Threadkeeper> {
  if ('url' in options) {
    const { bootstrapDatabase } = await import('./open-postgres.js');
    return bootstrapDatabase(options, warn);
  }
  const { bootstrapHome } = await import('./open-local.js');
  return await bootstrapHome(options, warn);
}

/** Opens what is there in a home, and never makes, migrates or fills anything. */
export function lookOnlyAtHome(options: HomeOptions): HomeBootstrapOptions {
  return { ...options, readOnly: true, ownStateDb: 'existing', backfillWaitMs: 0 };
}
