import type { Query } from '../postgres-db.js';

/** A step from one schema to the next. It is literal and frozen: a migration that was released is never edited. */
export interface Migration {
  /** The name of its file. The database stores only how many have run. */
  readonly name: string;
  run(query: Query): Promise<void>;
}
