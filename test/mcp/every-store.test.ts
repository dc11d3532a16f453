import { onTestFinished } from 'vitest';
import { createManager } from '../../src/app/threadkeeper.js';
import type { ThreadStore } from '../../src/store/thread-store.js';
import { InMemoryAgentGraph } from '../../src/stores/memory/in-memory-agent-graph.js';
import { InMemoryThreadStore } from '../../src/stores/memory/in-memory-thread-store.js';
import { PostgresAgentGraph } from '../../src/stores/postgres/agent-graph.js';
import { connect, connectTo } from '../support/connect.js';
import { openDb, openPostgresStore } from '../support/postgres-store.js';
import { TestHome } from '../support/test-home.js';
import { toolSuite } from './tool-suite.js';

toolSuite("a home with Codex's state DB", async () => {
  const home = new TestHome();
  home.stateDb();
  return await connect(home);
});

toolSuite('a home with a state DB of our own', () => connect(new TestHome(), { indexUse: 'create' }));

toolSuite('a home without a state DB', () => connect(new TestHome(), { useStateDb: false }));

toolSuite('memory', () => over(new InMemoryThreadStore(), new InMemoryAgentGraph()));

toolSuite('PostgreSQL', () => {
  const db = openDb();
  return over(openPostgresStore({ db }), new PostgresAgentGraph(db));
});

function over(store: ThreadStore, graph: InMemoryAgentGraph | PostgresAgentGraph) {
  const warn = (message: string) => {
    throw new Error(`nothing should be warned of: ${message}`);
  };
  const manager = createManager({ store, graph, modelProvider: undefined, warn });
  onTestFinished(() => manager.close());
  return connectTo(manager);
}
