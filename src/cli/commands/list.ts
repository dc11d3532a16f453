import { SOURCE_KINDS } from '../../protocol/session-source.js';
import type { ThreadManager } from '../../threads/thread-manager.js';
import { jsonLine } from '../terminal-text.js';
import { shortTime, titleOf } from '../thread-lines.js';

export interface ListOptions {
  readonly search: string | undefined;
  readonly limit: number;
  readonly includeArchived: boolean;
  readonly json: boolean;
}

/** The newest threads, one a line, or as JSON. */
export async function list(manager: ThreadManager, options: ListOptions): Promise<string> {
  const page = await manager.listThreads({
    filter: {
      archived: options.includeArchived ? 'include' : 'exclude',
      sources: SOURCE_KINDS.filter((kind) => kind !== 'subagent' && kind !== 'internal'),
      search: options.search,
    },
    sortBy: 'updatedAt',
    order: 'desc',
    limit: Math.max(1, options.limit),
  });
  const threads = page.threads.map(({ thread }) => thread);
  if (options.json) {
    const rows = threads.map((thread) => ({
      threadId: thread.threadId,
      title: titleOf(thread),
      cwd: thread.cwd,
      source: thread.source.kind,
      updatedAt: new Date(thread.updatedAt).toISOString(),
      ...(thread.isArchived ? { archived: true } : {}),
    }));
    return jsonLine({ threads: rows, total: page.total, warnings: page.warnings });
  }
  const lines = threads.map((thread) => {
    const mark = thread.isArchived ? ' [archived]' : '';
    return `${thread.threadId}  ${shortTime(thread.updatedAt)}  ${titleOf(thread)}${mark}`;
  });
  const hidden = page.counts.filter(({ source }) => source === 'subagent' || source === 'internal');
  const subagents = hidden.reduce((sum, { count }) => sum + count, 0);
  const archived = page.counts.reduce(
    (sum, entry) => sum + (entry.isArchived && !hidden.includes(entry) ? entry.count : 0),
    0,
  );
  const rest = page.total - threads.length;
  if (rest > 0) lines.push(`… and ${rest} more (--limit, --search)`);
  if (threads.length === 0) lines.push('no threads');
  if (archived > 0 && !options.includeArchived) lines.push(`not shown: archived threads: ${archived} (--archived)`);
  if (subagents > 0) lines.push(`not shown: sub-agents: ${subagents} (ask the MCP tools, or show <id>)`);
  return `${[...lines, ...page.warnings.map((warning) => `note: ${warning}`)].join('\n')}\n`;
}
