import { cwdKey } from '../../../../protocol/cwd-key.js';
import type { Migration } from './migration.js';

/**
 * Writes `cwd_key` again for the directories whose key has changed: those of Windows, and those with accents. When the
 * rule of `cwdKey` changes again, a further migration does the same.
 */
export const migration: Migration = {
  name: '0003-cwd-keys',
  async run(query) {
    for (let after = '00000000-0000-0000-0000-000000000000'; ; ) {
      const rows = await query(
        `SELECT id::text AS id, cwd, cwd_key FROM {threads}
          WHERE id > $1::uuid AND (cwd !~ '^/[ -~]*$' OR starts_with(cwd, '/mnt/')) ORDER BY id LIMIT 1000`,
        [after],
      );
      const last = rows.at(-1);
      if (!last) return;
      after = String(last['id']);
      const keys = rows.map((row) => ({
        id: String(row['id']),
        key: cwdKey(String(row['cwd'])),
        was: row['cwd_key'],
      }));
      const stale = keys.filter(({ key, was }) => key !== was);
      await query(
        `UPDATE {threads} AS thread SET cwd_key = new.key FROM unnest($1::uuid[], $2::text[]) AS new (id, key)
          WHERE thread.id = new.id`,
        [stale.map(({ id }) => id), stale.map(({ key }) => key)],
      );
    }
  },
};
