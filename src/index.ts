/** The library: what another program may import. Everything else may change in any release. */

export {
  type CommonOpenOptions,
  type OpenDatabaseOptions,
  type OpenHomeOptions,
  openDatabase,
  openHome,
} from './app/library.js';
export { createManager, type ManagerOptions, type Threadkeeper } from './app/threadkeeper.js';
export { createMcpServer, type McpServer, type McpServerOptions } from './mcp/server.js';
export { serveStdio } from './mcp/transports/stdio.js';
export { type ErrorCode, ThreadkeeperError } from './protocol/errors.js';
export { asThreadId, type ThreadId } from './protocol/ids.js';
export type { RolloutItem } from './protocol/rollout-item.js';
export type { RolloutLine } from './protocol/rollout-line.js';
export { type SessionSource, type SourceKind, sessionSource } from './protocol/session-source.js';
export type { AgentGraphStore, Descendant, SpawnEdge, SpawnEdgeStatus } from './store/agent-graph-store.js';
export { serialized } from './store/serialized.js';
export type { ImportedThread, ImportOutcome, ImportState, ThreadImporter } from './store/thread-importer.js';
export type { GitPatch, ThreadMetadataPatch } from './store/thread-patch.js';
export type * from './store/thread-store.js';
export { InMemoryAgentGraph } from './stores/memory/in-memory-agent-graph.js';
export { InMemoryThreadStore } from './stores/memory/in-memory-thread-store.js';
export type { CodexThread, Submission, SubmitOptions } from './threads/codex-thread.js';
export type { ThreadEvent, ThreadEventListener } from './threads/thread-events.js';
export {
  type FamilyQuery,
  ThreadManager,
  type ThreadManagerParts,
  type ThreadQuery,
  type UpdatedThread,
} from './threads/thread-manager.js';
export type { Turn, TurnItem } from './transcript/turn.js';
export type { ConversationItem } from './transcript/turn-writer.js';
export { VERSION } from './version.js';
