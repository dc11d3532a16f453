import { cutText } from '../../protocol/cut-text.js';
import { invalidRequest, threadNotFound } from '../../protocol/errors.js';
import { asThreadId, type ThreadId } from '../../protocol/ids.js';
import type { StoredThread, TurnPage } from '../../store/thread-store.js';
import type { ThreadManager } from '../../threads/thread-manager.js';
import type { TurnItem } from '../../transcript/turn.js';
import { jsonLine } from '../terminal-text.js';
import { shortTime, titleOf } from '../thread-lines.js';

export interface ShowOptions {
  /** An id or the exact name of one thread. */
  readonly thread: string;
  readonly turns: number;
  readonly json: boolean;
}

const LONGEST_TEXT = 2000;

/** One thread with its last turns, oldest first, as text or JSON. Throws `thread_not_found`, `invalid_request`. */
export async function show(manager: ThreadManager, options: ShowOptions): Promise<string> {
  const threadId = asThreadId(options.thread) ?? (await findIdByName(manager, options.thread));
  const thread = await manager.readThread(threadId);
  const page =
    options.turns === 0 ? undefined : await manager.listTurns({ threadId, order: 'newestFirst', limit: options.turns });
  if (options.json)
    return jsonLine({
      thread: { ...thread, source: thread.source.kind },
      turns: page?.turns,
      warnings: page?.warnings,
    });
  return `${[...head(thread), ...turnLines(page)].join('\n')}\n`;
}

async function findIdByName(manager: ThreadManager, name: string): Promise<ThreadId> {
  const [id, ...others] = await manager.findThreadsByName(name, 6);
  if (id === undefined)
    throw threadNotFound(
      name,
      'It is neither an id nor the exact name of a thread; threadkeeper list --search finds some.',
    );
  if (others.length > 0)
    throw invalidRequest(`${others.length + 1} threads have that name`, `Give an id: ${[id, ...others].join(', ')}`);
  return id;
}

function head(thread: StoredThread): string[] {
  const { git } = thread;
  const facts: [string, string | undefined][] = [
    ['id', thread.threadId],
    ['directory', thread.cwd],
    ['git', [git.branch, git.sha, git.originUrl].filter((part) => part !== undefined).join(' ')],
    ['model', [thread.modelProvider, thread.model].filter((part) => part !== undefined).join(' ')],
    ['created', shortTime(thread.createdAt)],
    ['updated', shortTime(thread.updatedAt)],
    ['parent', thread.parentThreadId],
    ['forked from', thread.forkedFromId],
    ['archived', thread.isArchived ? 'yes' : undefined],
  ];
  return [titleOf(thread), ...facts.filter(([, value]) => value).map(([label, value]) => `  ${label}: ${value}`)];
}

function turnLines(page: TurnPage | undefined): string[] {
  if (!page) return [];
  const turns = [...page.turns]
    .reverse()
    .flatMap((turn) => ['', `--- turn ${turn.turnId} (${turn.status})`, ...turn.items.map(itemLine)]);
  const earlier = page.hasMore ? ['', '… earlier turns: --turns'] : [];
  return [...earlier, ...turns, ...page.warnings.map((warning) => `note: ${warning}`)];
}

function itemLine({ type, fields, body }: TurnItem): string {
  if (!body) return `[${type}] ${String(fields['command'] ?? fields['tool'] ?? fields['query'] ?? '')}`.trimEnd();
  if (body.isOutput)
    return `[${type}] ${String(fields['command'] ?? fields['tool'] ?? '')} (${body.total} characters of ${body.field})`;
  const isCut = body.text.length > LONGEST_TEXT;
  return `[${type}] ${isCut ? `${cutText(body.text, LONGEST_TEXT)}… (${body.total} characters)` : body.text}`;
}
