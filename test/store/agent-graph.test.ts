import { describe, expect, it, onTestFinished } from 'vitest';
import { errorOf } from '../../src/contract/error-of.js';
import type { ThreadId } from '../../src/protocol/ids.js';
import type { AgentGraphStore, SpawnEdge } from '../../src/store/agent-graph-store.js';
import { SqliteAgentGraph } from '../../src/stores/local/agent-graph.js';
import { RolloutHome } from '../../src/stores/local/rollout/rollout-home.js';
import { RolloutLibrary } from '../../src/stores/local/rollout/rollout-library.js';
import { RolloutAgentGraph } from '../../src/stores/local/rollout-agent-graph.js';
import { StateDbHandle } from '../../src/stores/local/state-db/state-db-handle.js';
import { InMemoryAgentGraph } from '../../src/stores/memory/in-memory-agent-graph.js';
import { PostgresAgentGraph } from '../../src/stores/postgres/agent-graph.js';
import { openDb } from '../support/postgres-store.js';
import { onlySqliteHome, openStateDb } from '../support/state-db.js';
import { addEdge, addRow, newId, spawnedBy, TestHome } from '../support/test-home.js';

type Pair = readonly [parent: ThreadId, child: ThreadId];

/** What every graph promises of the same edges. */
function agentGraphContract(name: string, make: (edges: readonly Pair[]) => Promise<AgentGraphStore>): void {
  describe(`${name} as an AgentGraphStore`, () => {
    const [root, a, b, c, d] = Array.from({ length: 5 }, newId) as [ThreadId, ThreadId, ThreadId, ThreadId, ThreadId];

    it('lists the children of a thread by id', async () => {
      const graph = await make([
        [root, b],
        [root, a],
        [a, c],
      ]);
      expect(await graph.listChildren(root)).toEqual([a, b]);
      expect(await graph.listChildren(c)).toEqual([]);
    });

    it('lists descendants by depth, then id, without the root', async () => {
      const graph = await make([
        [root, b],
        [root, a],
        [b, c],
        [a, d],
      ]);
      expect(await graph.listDescendants(root)).toEqual([
        { threadId: a, parentThreadId: root, depth: 1 },
        { threadId: b, parentThreadId: root, depth: 1 },
        { threadId: c, parentThreadId: b, depth: 2 },
        { threadId: d, parentThreadId: a, depth: 2 },
      ]);
    });

    it('ends a walk that meets a cycle, each thread once', async () => {
      const graph = await make([
        [root, a],
        [a, b],
        [b, root],
        [c, c],
      ]);
      expect((await graph.listDescendants(root)).map(({ threadId }) => threadId)).toEqual([a, b]);
      expect((await graph.listDescendants(b)).map(({ threadId }) => threadId)).toEqual([root, a]);
      expect(await graph.listDescendants(c)).toEqual([]);
    });

    it('knows the children of a parent that is gone', async () => {
      const gone = newId();
      const graph = await make([[gone, a]]);
      expect(await graph.listChildren(gone)).toEqual([a]);
    });

    it('knows nothing below an unknown thread', async () => {
      expect(await (await make([])).listDescendants(newId())).toEqual([]);
    });
  });
}

const pairs = (edges: readonly Pair[]): SpawnEdge[] =>
  edges.map(([parentThreadId, childThreadId]) => ({ parentThreadId, childThreadId, status: 'open' }));

async function sqliteGraph(home: TestHome): Promise<SqliteAgentGraph> {
  const { stateDb } = await openStateDb({ homes: onlySqliteHome(home.root), readOnly: false, indexUse: 'never' });
  if (!stateDb) throw new Error('there is no state DB');
  onTestFinished(() => stateDb.close());
  return new SqliteAgentGraph(new StateDbHandle(stateDb), rolloutGraph(home));
}

function rolloutGraph(home: TestHome): RolloutAgentGraph {
  return new RolloutAgentGraph(new RolloutLibrary(new RolloutHome(home.root)));
}

agentGraphContract('InMemoryAgentGraph', async (edges) => {
  const graph = new InMemoryAgentGraph();
  for (const edge of pairs(edges)) await graph.upsertSpawnEdge(edge);
  return graph;
});

agentGraphContract('PostgresAgentGraph', async (edges) => {
  const graph = new PostgresAgentGraph(openDb());
  for (const edge of pairs(edges)) await graph.upsertSpawnEdge(edge);
  return graph;
});

agentGraphContract('SqliteAgentGraph over the table of edges', async (edges) => {
  const home = new TestHome();
  const db = home.stateDb();
  for (const [parent, child] of edges) addEdge(db, parent, child);
  return await sqliteGraph(home);
});

agentGraphContract('SqliteAgentGraph over the sources of rows', async (edges) => {
  const home = new TestHome();
  const db = home.stateDb();
  for (const [parent, id] of edges) {
    addRow(db, { id, rollout_path: home.rollout({ id }).file, source: JSON.stringify(spawnedBy(parent)['source']) });
  }
  return await sqliteGraph(home);
});

agentGraphContract('SqliteAgentGraph over rollouts that have no row', async (edges) => {
  const home = new TestHome();
  home.stateDb();
  for (const [parent, id] of edges) home.rollout({ id, meta: spawnedBy(parent) });
  return await sqliteGraph(home);
});

agentGraphContract('RolloutAgentGraph', async (edges) => {
  const home = new TestHome();
  for (const [parent, id] of edges) home.rollout({ id, meta: spawnedBy(parent) });
  return rolloutGraph(home);
});

describe('edges that are kept', () => {
  it.each(['memory', 'sqlite', 'postgres'])(
    'in %s: a child has one parent, and a closed agent hides what is below it',
    async (kind) => {
      const home = new TestHome();
      home.stateDb();
      const kept = kind === 'memory' ? new InMemoryAgentGraph() : new PostgresAgentGraph(openDb());
      const graph = kind === 'sqlite' ? await sqliteGraph(home) : kept;
      const [root, a, b, other] = [newId(), newId(), newId(), newId()];
      for (const edge of pairs([
        [root, a],
        [a, b],
        [other, a],
        [root, a],
      ]))
        await graph.upsertSpawnEdge(edge);
      expect(await graph.listChildren(other)).toEqual([]);
      await graph.setSpawnEdgeStatus(a, 'closed');
      expect(await graph.listDescendants(root, 'open')).toEqual([]);
      expect(await graph.listDescendants(root, 'closed')).toHaveLength(1);
      expect(await graph.listDescendants(root)).toHaveLength(2);
    },
  );

  it('are refused where edges are derived from rollouts, unless the rollout says the same', async () => {
    const home = new TestHome();
    const root = newId();
    const { id: child } = home.rollout({ meta: spawnedBy(root) });
    const graph = rolloutGraph(home);
    await graph.upsertSpawnEdge({ parentThreadId: root, childThreadId: child, status: 'open' });
    for (const edge of [
      { parentThreadId: child, childThreadId: root, status: 'open' },
      { parentThreadId: newId(), childThreadId: child, status: 'open' },
      { parentThreadId: root, childThreadId: child, status: 'closed' },
    ] as const) {
      expect(await errorOf(graph.upsertSpawnEdge(edge))).toMatchObject({ code: 'unsupported' });
    }
  });
});

describe('SqliteAgentGraph', () => {
  it('sees a sub-agent that appears while it runs', async () => {
    const home = new TestHome();
    const db = home.stateDb();
    const graph = await sqliteGraph(home);
    const root = newId();
    expect(await graph.listChildren(root)).toEqual([]);
    const child = newId();
    addEdge(db, root, child);
    expect(await graph.listChildren(root)).toEqual([child]);
  });
});
