import type { AgentGraphStore } from '../store/agent-graph-store.js';
import type { ThreadReader, ThreadStore } from '../store/thread-store.js';
import { InMemoryThreadStore } from '../stores/memory/in-memory-thread-store.js';
import { ThreadManager } from '../threads/thread-manager.js';
import { VERSION } from '../version.js';

/** The parts of a running threadkeeper, put together. */
export interface Threadkeeper {
  readonly manager: ThreadManager;
  readonly store: ThreadStore;
  readonly graph: AgentGraphStore;
  /** Completes moves that a killed program left half-done, and corrects wrong rows. Skips what is locked. Throws `read_only`. */
  repair(): Promise<void>;
  close(): Promise<void>;
}

export interface ManagerOptions {
  /** One that implements the reading half alone serves everything that changes nothing. */
  readonly store: ThreadReader | ThreadStore;
  readonly graph: AgentGraphStore;
  /** The provider of new threads whose caller names none. */
  readonly modelProvider?: string | undefined;
  /** Loaded threads that nobody writes to are closed after this, milliseconds; 0, the default: never. */
  readonly idleMs?: number | undefined;
  /** Receives messages for a person. */
  readonly warn: (message: string) => void;
}

/** Codex's provider where its configuration names none. */
const DEFAULT_PROVIDER = 'openai';

/** The manager over a store and a graph, whichever they are. */
export function createManager({ modelProvider, idleMs = 0, ...parts }: ManagerOptions): ThreadManager {
  return new ThreadManager({
    ...parts,
    maker: { originator: 'threadkeeper', version: VERSION, modelProvider: modelProvider ?? DEFAULT_PROVIDER },
    ephemeralStore: () => new InMemoryThreadStore(),
    idleMs,
  });
}
