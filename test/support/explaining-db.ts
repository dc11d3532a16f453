import type { Query, SqlValue } from '../../src/stores/postgres/db/postgres-db.js';
import type { Database } from '../../src/stores/postgres/db/ready-db.js';

interface Plan {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly Plans?: readonly Plan[];
}

/** A database that also asks for the plan of each statement that goes through it. */
export class ExplainingDb implements Database {
  /** Of each statement the tables that it scans from end to end, and how. */
  readonly scans: { readonly sql: string; readonly table: string }[] = [];

  constructor(private readonly db: Database) {}

  get description(): string {
    return this.db.description;
  }

  readonly query: Query = async (sql, values = []) => {
    await this.#explain(sql, values);
    return await this.db.query(sql, values);
  };

  async transaction<T>(action: (query: Query) => Promise<T>): Promise<T> {
    return await this.db.transaction(action);
  }

  async close(): Promise<void> {
    await this.db.close();
  }

  async #explain(sql: string, values: readonly SqlValue[]): Promise<void> {
    const [row] = await this.db.query(`EXPLAIN (FORMAT JSON) ${sql}`, values);
    const [explained] = (row?.['QUERY PLAN'] ?? []) as { Plan: Plan }[];
    for (const node of explained ? nodesOf(explained.Plan) : []) {
      if (node['Node Type'] === 'Seq Scan') this.scans.push({ sql, table: node['Relation Name'] ?? '' });
    }
  }
}

function nodesOf(plan: Plan): Plan[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
}
