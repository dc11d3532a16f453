import { cwdKey } from '../../protocol/cwd-key.js';
import { foldCase } from '../../protocol/fold-case.js';
import type { ThreadId } from '../../protocol/ids.js';
import { storedSessionSource } from '../../protocol/session-source.js';
import { PLAIN_FIELD_NAMES, type PlainFieldName } from '../../store/thread-fields.js';
import type { StoredThread } from '../../store/thread-store.js';
import { toText } from './db/jsonb.js';
import type { SqlRow, SqlValue } from './db/postgres-db.js';

type ColumnField = Exclude<keyof StoredThread, 'source' | 'git'>;

const snakeCase = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

const OTHER_FIELDS = [
  'sessionId',
  'name',
  'preview',
  'createdAt',
  'updatedAt',
  'recencyAt',
  'isArchived',
  'archivedAt',
  'parentThreadId',
  'agentDepth',
  'forkedFromId',
  'historyMode',
] as const satisfies readonly Exclude<ColumnField, PlainFieldName | 'threadId'>[];

/** The columns that hold one field each. */
const COLUMN_OF = Object.fromEntries([
  ['threadId', 'id'],
  ...[...PLAIN_FIELD_NAMES, ...OTHER_FIELDS].map((field) => [field, snakeCase(field)]),
]) as Readonly<Record<ColumnField, string>>;

/** What to select so that `threadFromRow` can read it. */
export const THREAD_COLUMNS: string = [
  ...Object.values(COLUMN_OF),
  'source',
  'git_sha',
  'git_branch',
  'git_origin_url',
].join(', ');

/** The thread in a row of the table. */
export function threadFromRow(row: SqlRow): StoredThread {
  const plain = Object.entries(COLUMN_OF).map(([field, column]) => [field, row[column] ?? undefined]);
  const text = (column: string) => (row[column] as string | null) ?? undefined;
  return {
    ...(Object.fromEntries(plain) as Pick<StoredThread, ColumnField>),
    source: storedSessionSource(text('source') ?? 'unknown'),
    git: { sha: text('git_sha'), branch: text('git_branch'), originUrl: text('git_origin_url') },
  };
}

/** The columns of a thread's row with their values, what is derived for searching and filtering included. */
export function threadColumns(thread: StoredThread): Map<string, SqlValue> {
  const { source, git, cwd } = thread;
  const columns: [string, unknown][] = Object.entries(COLUMN_OF).map(([field, column]) => [
    column,
    thread[field as ColumnField],
  ]);
  columns.push(
    ['source', source.stored],
    ['source_kind', source.kind],
    ['git_sha', git.sha],
    ['git_branch', git.branch],
    ['git_origin_url', git.originUrl],
    ['cwd_key', cwd === undefined ? undefined : cwdKey(cwd)],
    ['search_text', searchText(thread)],
  );
  return new Map(columns.map(([column, value]) => [column, sqlValue(value)]));
}

/** Sets the columns that a row does not have yet. Repeating it changes nothing. */
export function insertSql(row: ReadonlyMap<string, SqlValue>): readonly [string, SqlValue[]] {
  const columns = [...row.keys()];
  const places = columns.map((_, index) => `$${index + 1}`);
  const sql = `INSERT INTO {threads} (${columns.join(', ')}) VALUES (${places.join(', ')}) ON CONFLICT (id) DO NOTHING`;
  return [sql, [...row.values()]];
}

/** Sets columns of one thread; undefined when there is nothing to set. */
export function updateSql(
  threadId: ThreadId,
  changes: ReadonlyMap<string, SqlValue>,
): readonly [string, SqlValue[]] | undefined {
  if (changes.size === 0) return undefined;
  const settings = [...changes.keys()].map((column, index) => `${column} = $${index + 2}`);
  return [`UPDATE {threads} SET ${settings.join(', ')} WHERE id = $1`, [threadId, ...changes.values()]];
}

/** The columns in which a thread's row differs after a change. */
export function changedColumns(before: StoredThread, after: StoredThread): Map<string, SqlValue> {
  const known = threadColumns(before);
  return new Map([...threadColumns(after)].filter(([column, value]) => known.get(column) !== value));
}

/** Stands between the texts that are searched: no text holds it, so that no match goes from one into the next. */
const BETWEEN = '\u0001';

function searchText({ name, title, preview, firstUserMessage }: StoredThread): string {
  const texts = [name, title, preview, firstUserMessage].filter((text) => text !== undefined && text !== '');
  return toText([...new Set(texts.map((text) => searchable(text ?? '')))].join(BETWEEN));
}

/** A text as it is searched. */
export function searchable(text: string): string {
  return toText(foldCase(text).replaceAll(BETWEEN, '\uFFFD'));
}

function sqlValue(value: unknown): SqlValue {
  if (value === undefined) return null;
  return typeof value === 'string' ? toText(value) : (value as SqlValue);
}
