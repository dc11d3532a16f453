import { foldCase } from '../../../protocol/fold-case.js';
import { SOURCE_KINDS, type SourceKind } from '../../../protocol/session-source.js';
import { PLAIN_FIELDS, type PlainFields, plainFields } from '../../../store/thread-fields.js';
import type { SqlRow, SqlValue, StateDb } from './state-db.js';

/** One row of `threads`; what a column lacks, or an older schema does not have, is undefined. Times in milliseconds. */
export interface ThreadRow extends PlainFields {
  readonly id: string;
  readonly rolloutPath: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly recencyAt: number;
  readonly source: string;
  readonly name: string | undefined;
  readonly preview: string;
  readonly isArchived: boolean;
  readonly archivedAt: number | undefined;
  readonly gitSha: string | undefined;
  readonly gitBranch: string | undefined;
  readonly gitOriginUrl: string | undefined;
  readonly historyMode: string;
  /** Bytes of the rollout when it was indexed. Only the index has this. */
  readonly rolloutSize: number | undefined;
}

export type RowSort = 'createdAt' | 'updatedAt' | 'recencyAt';

/** What rows must match. An absent key matches all. */
export interface RowFilter {
  readonly isArchived?: boolean | undefined;
  readonly sources?: readonly SourceKind[] | undefined;
  readonly modelProviders?: readonly string[] | undefined;
  readonly cwds?: readonly string[] | undefined;
  readonly gitBranch?: string | undefined;
  /** A folded needle for the text columns, and ids that match by a text that is not in the row. */
  readonly search?: { readonly needle: string; readonly alsoIds: readonly string[] } | undefined;
  readonly ids?: readonly string[] | undefined;
  readonly excludeIds?: readonly string[] | undefined;
}

export interface RowQuery {
  readonly filter: RowFilter;
  readonly sortBy: RowSort;
  readonly order: 'asc' | 'desc';
  readonly limit: number;
  /** Rows after this one in the order, itself excluded. */
  readonly after?: { readonly time: number; readonly id: string } | undefined;
}

/** How many rows match, by archived state and source. */
export interface RowCount {
  readonly isArchived: boolean;
  readonly source: SourceKind;
  readonly count: number;
}

/** Values by column name; columns that the DB does not have are left out when written. */
export type RowChanges = Readonly<Record<string, SqlValue>>;

/** Before this, a number in a millisecond column is seconds (docs/codex-home.md, State DB). */
const EARLIEST_MS = 1_577_836_800_000;
/** The last moment that a JavaScript date can be. */
const LATEST_MS = 8_640_000_000_000_000;
const TIME_COLUMNS = { createdAt: 'created_at', updatedAt: 'updated_at', recencyAt: 'recency_at' } as const;
const OBJECT_SOURCES: readonly SourceKind[] = ['subagent', 'custom', 'internal'];
const BARE_SOURCES: readonly SourceKind[] = ['cli', 'vscode', 'exec', 'mcp'];
/** Long enough to tell the kinds apart, short enough to group by. */
const SOURCE_PREFIX = 'substr(source, 1, 11)';

/** Queries and setters on the `threads` table of a state DB. Each runs inside the caller's `read` or `write`. */
export class ThreadRows {
  readonly #db: StateDb;

  constructor(db: StateDb) {
    this.#db = db;
    db.defineFunction('threadkeeper_contains', (needle, ...texts) =>
      texts.some((text) => typeof text === 'string' && foldCase(text).includes(String(needle))) ? 1 : 0,
    );
  }

  get(id: string): ThreadRow | undefined {
    const row = this.#db.get('SELECT * FROM threads WHERE id = ?', id);
    return row && toThreadRow(row);
  }

  /** Every row, in no order. */
  each(): ThreadRow[] {
    return this.#db.all('SELECT * FROM threads').map(toThreadRow);
  }

  /** Each row with the value that it was sorted by, which may differ from the time as corrected. */
  page(query: RowQuery): (ThreadRow & { readonly sortTime: number })[] {
    const { conditions, values } = this.#conditions(query.filter);
    const { isArchived, cwds, ids } = query.filter;
    if (isArchived !== undefined) {
      // Most threads are active: there, walking the sort index beats sorting what the index on `archived` finds.
      const keepsIndex = isArchived || cwds || ids;
      conditions.push(`${keepsIndex ? '' : '+'}archived = ${isArchived ? 1 : 0}`);
    }
    const time = this.#timeExpression(query.sortBy);
    const direction = query.order === 'asc' ? 'ASC' : 'DESC';
    if (query.after) {
      conditions.push(`(${time}, id) ${query.order === 'asc' ? '>' : '<'} (?, ?)`);
      values.push(query.after.time, query.after.id);
    }
    const sql = `SELECT *, ${time} AS sort_time FROM threads ${where(conditions)} ORDER BY ${time} ${direction}, id ${direction} LIMIT ?`;
    const rows = this.#db.all(sql, ...values, query.limit);
    return rows.map((row) => ({ ...toThreadRow(row), sortTime: Number(row['sort_time']) }));
  }

  /** Rows by archived state and source; the filter's own archived state is not looked at. */
  counts(filter: RowFilter): RowCount[] {
    const { conditions, values } = this.#conditions(filter);
    if (conditions.length === 0) return this.#countAll();
    const sql = `SELECT archived, ${SOURCE_PREFIX} AS prefix, count(*) AS n FROM threads ${where(conditions)} GROUP BY 1, 2`;
    return this.#db.all(sql, ...values).map((row) => rowCount(row, row['archived'] === 1));
  }

  /** From the index on `source` alone, and the few archived rows. */
  #countAll(): RowCount[] {
    const byPrefix = (condition: string) =>
      this.#db.all(`SELECT ${SOURCE_PREFIX} AS prefix, count(*) AS n FROM threads ${condition} GROUP BY 1`);
    const archived = byPrefix('WHERE archived = 1').map((row) => rowCount(row, true));
    const all = byPrefix('').map((row) => rowCount(row, false));
    const active = all.map((entry) => {
      const moved = archived.find(({ source }) => source === entry.source)?.count ?? 0;
      return { ...entry, count: entry.count - moved };
    });
    return [...active, ...archived];
  }

  distinctCwds(): string[] {
    return this.#db.all('SELECT DISTINCT cwd FROM threads').map((row) => String(row['cwd']));
  }

  /** Path, size and time of every indexed rollout, by thread. Only the index has these. */
  indexed(): Map<string, { path: string; size: number; modifiedAt: number }> {
    const rows = this.#db.all('SELECT id, rollout_path, rollout_size, rollout_mtime_ms FROM threads');
    return new Map(
      rows.map((row) => [
        String(row['id']),
        {
          path: String(row['rollout_path']),
          size: Number(row['rollout_size']),
          modifiedAt: Number(row['rollout_mtime_ms']),
        },
      ]),
    );
  }

  /** Where every row says that its rollout is, by id. */
  paths(): Map<string, { path: string; isArchived: boolean; isSound: boolean }> {
    const times = Object.values(TIME_COLUMNS).flatMap((column) => [`${column}_ms`, column]);
    const [first, ...others] = times.filter((column) => this.has(column));
    // Rows whose values no list could be sorted or paged by.
    const sound = [first, ...others].map((column) => `(${column} IS NULL OR ${column} BETWEEN 0 AND ${LATEST_MS})`);
    const early = times.filter((column) => column.endsWith('_ms') && this.has(column));
    const late = early.map((column) => `(${column} IS NULL OR ${column} >= ${EARLIEST_MS} OR ${column} = 0)`);
    const rows = this.#db.all(
      `SELECT id, rollout_path, archived,
        (archived IN (0, 1) AND typeof(rollout_path) = 'text' AND ${[...sound, ...late].join(' AND ')}) AS sound FROM threads`,
    );
    return new Map(
      rows.map((row) => [
        String(row['id']),
        { path: String(row['rollout_path']), isArchived: row['archived'] === 1, isSound: row['sound'] === 1 },
      ]),
    );
  }

  /** Sets columns of a row; returns what they held before, or undefined when there is no such row. */
  update(id: string, changes: RowChanges): RowChanges | undefined {
    const columns = this.#known(changes);
    if (columns.length === 0) return {};
    const before = this.#db.get(`SELECT ${columns.join(', ')} FROM threads WHERE id = ?`, id);
    if (!before) return undefined;
    const set = columns.map((column) => `${column} = ?`).join(', ');
    this.#db.run(`UPDATE threads SET ${set} WHERE id = ?`, ...columns.map((column) => changes[column] ?? null), id);
    return before;
  }

  /** Sets `rollout_path` and the archived columns, if the path is still the one that was read. */
  repairPath(id: string, from: string, changes: RowChanges): boolean {
    const columns = this.#known(changes);
    const set = columns.map((column) => `${column} = ?`).join(', ');
    const values = columns.map((column) => changes[column] ?? null);
    return this.#db.run(`UPDATE threads SET ${set} WHERE id = ? AND rollout_path = ?`, ...values, id, from) > 0;
  }

  /** Puts a row in the place of the one that there may be. */
  replace(row: RowChanges): void {
    const columns = this.#known(row);
    const marks = columns.map(() => '?').join(', ');
    const sql = `INSERT OR REPLACE INTO threads (${columns.join(', ')}) VALUES (${marks})`;
    this.#db.run(sql, ...columns.map((column) => row[column] ?? null));
  }

  /** Adds a row unless there is one. */
  insertIfAbsent(row: RowChanges): boolean {
    const columns = this.#known(row);
    const marks = columns.map(() => '?').join(', ');
    const sql = `INSERT INTO threads (${columns.join(', ')}) VALUES (${marks}) ON CONFLICT (id) DO NOTHING`;
    return this.#db.run(sql, ...columns.map((column) => row[column] ?? null)) > 0;
  }

  delete(id: string): void {
    this.#db.run('DELETE FROM threads WHERE id = ?', id);
  }

  has(column: string): boolean {
    return this.#db.columns('threads').has(column);
  }

  #known(changes: RowChanges): string[] {
    return Object.keys(changes).filter((column) => this.has(column));
  }

  /** The column that rows are sorted by; a slower expression when some row lacks its milliseconds. */
  #timeExpression(sort: RowSort): string {
    const seconds = TIME_COLUMNS[this.has(TIME_COLUMNS[sort]) ? sort : 'updatedAt'];
    const milliseconds = `${seconds}_ms`;
    if (!this.has(milliseconds)) return `${seconds} * 1000`;
    const isMissing = this.#db.get(`SELECT 1 AS found FROM threads WHERE ${milliseconds} IS NULL LIMIT 1`);
    return isMissing ? `coalesce(${milliseconds}, ${seconds} * 1000)` : milliseconds;
  }

  #conditions(filter: RowFilter): { conditions: string[]; values: SqlValue[] } {
    const conditions: string[] = [];
    const values: SqlValue[] = [];
    const inList = (column: string, list: readonly string[] | undefined, not = '') => {
      if (!list) return;
      const [only] = list;
      if (list.length === 1 && only !== undefined && not === '') {
        // An index that begins with the column gives the rows of one value in order.
        conditions.push(`${column} = ?`);
        values.push(only);
        return;
      }
      conditions.push(`${column} ${not} IN (SELECT value FROM json_each(?))`);
      values.push(JSON.stringify(list));
    };
    if (filter.sources && filter.sources.length < SOURCE_KINDS.length) conditions.push(sourceCondition(filter.sources));
    inList('model_provider', filter.modelProviders);
    inList('cwd', filter.cwds);
    inList('id', filter.ids);
    if (filter.excludeIds?.length) inList('id', filter.excludeIds, 'NOT');
    if (filter.gitBranch !== undefined) {
      conditions.push('git_branch = ?');
      values.push(filter.gitBranch);
    }
    if (filter.search) {
      const texts = ['title', 'name', 'preview', 'first_user_message'].filter((column) => this.has(column));
      conditions.push(`(threadkeeper_contains(?, ${texts.join(', ')}) OR id IN (SELECT value FROM json_each(?)))`);
      values.push(filter.search.needle, JSON.stringify(filter.search.alsoIds));
    }
    return { conditions, values };
  }
}

function where(conditions: readonly string[]): string {
  return conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '';
}

function sourceCondition(kinds: readonly SourceKind[]): string {
  const tests = kinds.map((kind) => {
    if (BARE_SOURCES.includes(kind)) return `+source = '${kind}'`;
    if (OBJECT_SOURCES.includes(kind)) return `source LIKE '{"${kind}"%'`;
    const others = [...BARE_SOURCES.map((bare) => `+source = '${bare}'`), ...OBJECT_SOURCES.map(objectTest)];
    return `NOT (${others.join(' OR ')})`;
  });
  return `(${tests.join(' OR ') || '0'})`;
}

function objectTest(kind: SourceKind): string {
  return `source LIKE '{"${kind}"%'`;
}

function rowCount(row: SqlRow, isArchived: boolean): RowCount {
  return { isArchived, source: kindFromPrefix(String(row['prefix'])), count: Number(row['n']) };
}

function kindFromPrefix(prefix: string): SourceKind {
  const bare = BARE_SOURCES.find((kind) => kind === prefix);
  return bare ?? OBJECT_SOURCES.find((kind) => prefix.startsWith(`{"${kind}"`)) ?? 'unknown';
}

function toThreadRow(row: SqlRow): ThreadRow {
  const text = (column: string) => (typeof row[column] === 'string' ? row[column] : undefined);
  const filled = (column: string) => text(column) || undefined;
  const number = (column: string) => (typeof row[column] === 'number' ? row[column] : undefined);
  const time = (column: string) => {
    const milliseconds = number(`${column}_ms`);
    if (milliseconds === undefined) return (number(column) ?? 0) * 1000;
    return milliseconds < EARLIEST_MS ? milliseconds * 1000 : milliseconds;
  };
  const archivedAt = number('archived_at');
  return {
    ...plainFields((field) => {
      const { column, type } = PLAIN_FIELDS[field];
      return type === 'text' ? text(column) : number(column) || undefined;
    }),
    id: text('id') ?? '',
    rolloutPath: text('rollout_path') ?? '',
    createdAt: time('created_at'),
    updatedAt: time('updated_at'),
    recencyAt: time('recency_at') || time('updated_at'),
    source: text('source') ?? 'unknown',
    name: filled('name'),
    preview: text('preview') ?? text('first_user_message') ?? '',
    isArchived: row['archived'] === 1,
    archivedAt: archivedAt === undefined ? undefined : archivedAt * 1000,
    gitSha: filled('git_sha'),
    gitBranch: filled('git_branch'),
    gitOriginUrl: filled('git_origin_url'),
    historyMode: text('history_mode') ?? 'legacy',
    rolloutSize: number('rollout_size'),
  };
}
