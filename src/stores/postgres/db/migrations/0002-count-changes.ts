import type { Migration } from './migration.js';

/**
 * Every list tells how many threads there are, by archived state and source. Triggers keep the counts as changes that
 * are summed up: no two writers wait for one row, and counting needs no scan.
 */
const STATEMENTS: readonly string[] = [
  `CREATE TABLE {count_changes} (is_archived boolean NOT NULL, source_kind text NOT NULL, change bigint NOT NULL)`,
  `CREATE FUNCTION {threads_made}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO {count_changes} (is_archived, source_kind, change)
      SELECT is_archived, source_kind, count(*) FROM made GROUP BY 1, 2; RETURN NULL; END $$`,
  `CREATE FUNCTION {threads_gone}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO {count_changes} (is_archived, source_kind, change)
      SELECT is_archived, source_kind, -count(*) FROM gone GROUP BY 1, 2; RETURN NULL; END $$`,
  `CREATE FUNCTION {thread_moved}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO {count_changes} (is_archived, source_kind, change)
      VALUES (OLD.is_archived, OLD.source_kind, -1), (NEW.is_archived, NEW.source_kind, 1); RETURN NULL; END $$`,
  `CREATE TRIGGER made AFTER INSERT ON {threads} REFERENCING NEW TABLE AS made
      FOR EACH STATEMENT EXECUTE FUNCTION {threads_made}()`,
  `CREATE TRIGGER gone AFTER DELETE ON {threads} REFERENCING OLD TABLE AS gone
      FOR EACH STATEMENT EXECUTE FUNCTION {threads_gone}()`,
  `CREATE TRIGGER moved AFTER UPDATE OF is_archived, source_kind ON {threads} FOR EACH ROW
      WHEN ((OLD.is_archived, OLD.source_kind) IS DISTINCT FROM (NEW.is_archived, NEW.source_kind))
      EXECUTE FUNCTION {thread_moved}()`,
];

export const migration: Migration = {
  name: '0002-count-changes',
  async run(query) {
    for (const statement of STATEMENTS) await query(statement);
  },
};
