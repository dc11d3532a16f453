import { createManager } from '../src/app/threadkeeper.js';
import { linesFromSeed, seed, threadFromSeed } from '../src/contract/seed.js';
import { ALL_TOOLS } from '../src/mcp/tools/index.js';
import { InMemoryAgentGraph } from '../src/stores/memory/in-memory-agent-graph.js';
import { InMemoryThreadStore } from '../src/stores/memory/in-memory-thread-store.js';

/** A call of a tool, and what it answers. */
export interface ToolExample {
  readonly args: object;
  readonly result: string;
}

/** One real call of each tool, by tool name, over a small store in memory. Ids and times of new threads are fixed. */
export async function toolExamples(): Promise<Map<string, ToolExample>> {
  const store = new InMemoryThreadStore();
  const thread = seed({
    name: 'Fix the login test',
    branch: 'main',
    turns: [['Why does the login test fail?', 'It uses a fixed port. It now asks for a free one.']],
  });
  const child = seed({ parent: thread.id, turns: [['Look for other fixed ports.', 'There are none.']] });
  for (const entry of [thread, child]) store.add(threadFromSeed(entry), linesFromSeed(entry));
  const graph = new InMemoryAgentGraph();
  await graph.upsertSpawnEdge({ parentThreadId: thread.id, childThreadId: child.id, status: 'open' });
  const manager = createManager({ store, graph, warn: () => {} });
  const threadId = thread.id;
  const message = { type: 'userMessage', text: 'And the signup test?' };
  const calls: readonly (readonly [string, object])[] = [
    ['list_threads', { cwd: '/home/dev/project', search: 'login' }],
    ['read_thread', { threadId, turnLimit: 1 }],
    ['set_thread_name', { threadId, name: 'Login test: fixed port' }],
    ['update_thread_metadata', { threadId, gitInfo: { branch: 'fix-login' } }],
    ['archive_thread', { threadId }],
    ['unarchive_thread', { threadId }],
    ['start_thread', { cwd: '/home/dev/project', name: 'Signup', message: 'Check the signup test.' }],
    ['append_to_thread', { threadId, items: [message, { type: 'agentMessage', text: 'It passes.' }], endTurn: true }],
    ['fork_thread', { threadId, name: 'Another way' }],
    ['close_thread', { threadId }],
  ];
  const examples = new Map<string, ToolExample>();
  const names = new Map<string, string>();
  for (const [name, args] of calls) {
    const tool = ALL_TOOLS.find(({ definition }) => definition.name === name);
    if (!tool) throw new Error(`there is no tool ${name}`);
    const result = JSON.stringify(await tool.call(args, { manager }), null, 2);
    examples.set(name, { args, result: withoutChance(result, names) });
  }
  const missing = ALL_TOOLS.filter(({ definition }) => !examples.has(definition.name));
  if (missing.length > 0)
    throw new Error(`no example of ${missing.map(({ definition }) => definition.name).join(', ')}`);
  await manager.close();
  return examples;
}

/** Ids and times of now would make each run differ. */
function withoutChance(text: string, names: Map<string, string>): string {
  const year = new Date().getFullYear();
  return text
    .replace(/01a2(?!0000)[0-9a-f]{4}-[0-9a-f-]{27}|[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f-]{22}/g, (id) => {
      if (id.startsWith('01a20000-')) return id;
      if (!names.has(id)) names.set(id, `01a2f000-0000-7000-8000-${String(names.size + 1).padStart(12, '0')}`);
      return names.get(id) ?? id;
    })
    .replace(new RegExp(`"${year}-\\d\\d-\\d\\dT[\\d:.]+Z"`, 'g'), (time) =>
      time.startsWith('"2026-11-20T10:00:0') ? time : '"2026-11-25T12:00:00.000Z"',
    );
}
