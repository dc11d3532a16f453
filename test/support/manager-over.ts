import type { AgentGraphStore } from '../../src/store/agent-graph-store.js';
import type { ThreadStore } from '../../src/store/thread-store.js';
import { InMemoryThreadStore } from '../../src/stores/memory/in-memory-thread-store.js';
import { ThreadManager, type ThreadManagerParts } from '../../src/threads/thread-manager.js';

/** A manager over these two, as the program makes one. */
export function managerOver(
  store: ThreadStore,
  graph: AgentGraphStore,
  options: Partial<ThreadManagerParts> = {},
): ThreadManager {
  return new ThreadManager({
    store,
    graph,
    maker: { originator: 'test', version: '1.0.0', modelProvider: 'mock' },
    ephemeralStore: () => new InMemoryThreadStore(),
    idleMs: 0,
    warn: () => {},
    ...options,
  });
}
