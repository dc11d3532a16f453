import type { OpenLocalOptions } from './open-local.js';
import type { OpenPostgresOptions } from './open-postgres.js';
import type { LocalStoreOptions } from './store-options.js';
import type { Threadkeeper } from './threadkeeper.js';

export type OpenOptions = OpenLocalOptions | OpenPostgresOptions;

/** The composition root: parts are chosen here and below alone, and only those that are used are loaded. */
export async function openThreadkeeper(options: OpenOptions, warn: (message: string) => void): Promise<Threadkeeper> {
  if (options.kind === 'postgres') {
    const { openPostgres } = await import('./open-postgres.js');
    return openPostgres(options, warn);
  }
  const { openLocal } = await import('./open-local.js');
  return await openLocal(options, warn);
}

/** Opens what exists in a home, and creates, migrates and fills nothing. */
export function readOnlyOptions(options: LocalStoreOptions): OpenLocalOptions {
  return { ...options, readOnly: true, indexUse: 'existing', backfillWaitMs: 0 };
}
