import type { ThreadId } from '../../protocol/ids.js';
import type { SourceKind } from '../../protocol/session-source.js';
import { decodeListCursor, encodeListCursor, type ListPosition } from '../../store/list-cursor.js';
import { directorySpellings, positionOf, totalShown, validateListParams } from '../../store/thread-filter.js';
import type { ListThreadsParams, ThreadCount, ThreadFilter, ThreadPage, ThreadSort } from '../../store/thread-store.js';
import { CountChanges } from './count-changes.js';
import { STARTS } from './db/indexed.js';
import { toText } from './db/jsonb.js';
import type { SqlValue } from './db/postgres-db.js';
import type { Database } from './db/ready-db.js';
import { searchable, THREAD_COLUMNS, threadFromRow } from './thread-row.js';

const SORT_COLUMN: Readonly<Record<ThreadSort, string>> = {
  createdAt: 'created_at',
  updatedAt: 'updated_at',
  recencyAt: 'recency_at',
};

/** Lists threads by keyset: a page costs what it holds, wherever it is. */
export class PostgresListing {
  readonly #db: Database;
  readonly #changes: CountChanges;

  constructor(db: Database, { isReadOnly }: { isReadOnly: boolean }) {
    this.#db = db;
    this.#changes = new CountChanges(db, { mayCompact: !isReadOnly });
  }

  async list(params: ListThreadsParams): Promise<ThreadPage> {
    validateListParams(params);
    const { filter, limit } = params;
    const after = decodeListCursor(params);
    const [rows, counts] = await Promise.all([this.#page(params, after), this.#counts(filter)]);
    const threads = rows.slice(0, limit).map(threadFromRow);
    return {
      threads: threads.map((thread) => ({
        thread,
        cursor: encodeListCursor(params, positionOf(thread, params.sortBy)),
      })),
      hasMore: rows.length > limit,
      total: totalShown(filter, counts),
      counts,
      warnings: [],
    };
  }

  async named(name: string, limit: number): Promise<ThreadId[]> {
    const where = new Where();
    where.equals('name', [name.trim()], STARTS.name);
    const rows = await this.#db.query(
      `SELECT id FROM {threads} ${where.sql} ORDER BY updated_at DESC, id DESC LIMIT ${where.value(limit)}`,
      where.values,
    );
    return rows.map(({ id }) => id as ThreadId);
  }

  async #page({ filter, sortBy, order, limit }: ListThreadsParams, after: ListPosition | undefined) {
    const where = filteredBy(filter);
    if (filter.archived !== 'include') where.add(filter.archived === 'only' ? 'is_archived' : 'NOT is_archived');
    if (filter.sources) where.add(`source_kind = ANY(${where.value(filter.sources)})`);
    const column = SORT_COLUMN[sortBy];
    const sign = order === 'asc' ? '>' : '<';
    if (after)
      where.add(`(${column}, id) ${sign} (${where.value(after.time)}::bigint, ${where.value(after.id)}::uuid)`);
    const limited = where.value(limit + 1);
    return await this.#db.query(
      `SELECT ${THREAD_COLUMNS} FROM {threads} ${where.sql} ORDER BY ${column} ${order}, id ${order} LIMIT ${limited}`,
      where.values,
    );
  }

  async #counts(filter: ThreadFilter): Promise<ThreadCount[]> {
    const where = filteredBy(filter);
    if (where.isEmpty) return await this.#changes.sums();
    const rows = await this.#db.query(
      `SELECT is_archived, source_kind, count(*) AS count FROM {threads} ${where.sql} GROUP BY 1, 2`,
      where.values,
    );
    return rows.map((row) => ({
      isArchived: row['is_archived'] === true,
      source: row['source_kind'] as SourceKind,
      count: Number(row['count']),
    }));
  }
}

/** All of a filter but the archived state and the source: those are counted. */
function filteredBy(filter: ThreadFilter): Where {
  const where = new Where();
  if (filter.within) where.add(`id = ANY(${where.value(filter.within.members)}::uuid[])`);
  if (filter.modelProviders) where.equals('model_provider', filter.modelProviders, STARTS.provider);
  if (filter.gitBranch !== undefined) where.equals('git_branch', [filter.gitBranch], STARTS.branch);
  if (filter.cwds) where.isInDirectory([...new Set(filter.cwds.flatMap(directorySpellings))]);
  if (filter.search !== undefined) {
    const escaped = searchable(filter.search).replace(/[\\%_]/g, '\\$&');
    where.add(`search_text LIKE ${where.value(`%${escaped}%`)}`);
  }
  return where;
}

/** Conditions with their values, put together. */
class Where {
  readonly values: SqlValue[] = [];
  readonly #conditions: string[] = [];

  get isEmpty(): boolean {
    return this.#conditions.length === 0;
  }

  get sql(): string {
    return this.isEmpty ? '' : `WHERE ${this.#conditions.join(' AND ')}`;
  }

  /** The place of a value in the statement. */
  value(value: SqlValue): string {
    this.values.push(typeof value === 'string' ? toText(value) : value);
    return `$${this.values.length}`;
  }

  add(condition: string): void {
    this.#conditions.push(condition);
  }

  /** `start` is what the index has of the column. */
  equals(column: string, wanted: readonly string[], start: string): void {
    const values = this.value(wanted.map(toText));
    const starts = this.value(wanted.map((text) => [...toText(text)].slice(0, 200).join('')));
    this.add(`${start} = ANY(${starts}) AND ${column} = ANY(${values})`);
  }

  /** The directory and those below: their paths continue with a slash, so they all sort before `directory0`. */
  isInDirectory(directories: readonly string[]): void {
    const conditions = directories.map((directory) => {
      const exact = this.value(directory);
      const below = this.value(directory.endsWith('/') ? directory : `${directory}/`);
      const end = this.value(directory.endsWith('/') ? `${directory.slice(0, -1)}0` : `${directory}0`);
      return (
        `(${STARTS.cwd} = left(${exact}, 400) AND cwd_key = ${exact}) OR ` +
        `(${STARTS.cwd} >= left(${below}, 400) AND ${STARTS.cwd} <= left(${end}, 400) AND starts_with(cwd_key, ${below}))`
      );
    });
    this.add(`(${conditions.join(' OR ')})`);
  }
}
