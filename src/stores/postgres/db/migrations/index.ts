import { migration as threadsItemsEdges } from './0001-threads-items-edges.js';
import { migration as countChanges } from './0002-count-changes.js';
import { migration as cwdKeys } from './0003-cwd-keys.js';
import type { Migration } from './migration.js';

/** In order. A change of the schema is a further file here. */
export const MIGRATIONS: readonly Migration[] = [threadsItemsEdges, countChanges, cwdKeys];
