import { z } from 'zod';
import { invalidRequest } from '../../protocol/errors.js';
import { SOURCE_KINDS, type SourceKind } from '../../protocol/session-source.js';
import { THREAD_SORTS, type ThreadCount, type ThreadPage } from '../../store/thread-store.js';
import type { FamilyQuery, ThreadManager } from '../../threads/thread-manager.js';
import { defineTool, type ToolContext } from '../define-tool.js';
import { threadIdArgument } from '../parameters.js';
import { jsonSize, RESERVED_CHARACTERS, RESULT_CHARACTERS } from '../results/size.js';
import { LIST_PREVIEW, present, type ThreadView, threadSchema, threadView } from '../results/thread-view.js';

const HIDDEN_SOURCES: ReadonlySet<SourceKind> = new Set(['subagent', 'internal']);
const DEFAULT_SOURCES = SOURCE_KINDS.filter((kind) => !HIDDEN_SOURCES.has(kind));

const filterText = z.string().min(1).max(4000);

const input = z.strictObject({
  limit: z.int().min(1).max(100).default(20).describe('Threads in a page.'),
  cursor: z.string().max(2000).optional().describe('nextCursor of the page before; other arguments unchanged.'),
  sortBy: z.enum(THREAD_SORTS).default('updatedAt').describe('recencyAt: start of the last turn.'),
  order: z.enum(['desc', 'asc']).default('desc').describe('desc: newest first.'),
  archived: z.enum(['exclude', 'only', 'include']).default('exclude').describe('Archived threads.'),
  sources: z.array(z.enum(SOURCE_KINDS)).min(1).optional().describe('Default: all but subagent and internal.'),
  modelProviders: z.array(filterText).min(1).optional().describe('Default: all.'),
  cwd: z
    .union([filterText, z.array(filterText).min(1).max(100)])
    .optional()
    .describe('Directory, or several: matches threads in it and below it.'),
  gitBranch: filterText.optional().describe('Exact branch name.'),
  search: filterText
    .optional()
    .describe('Case-insensitive part of name, title, preview or first user message; later messages are not searched.'),
  parentThreadId: z.string().optional().describe('Direct children of this thread, of any source.'),
  ancestorThreadId: z.string().optional().describe('All descendants of this thread, of any source.'),
});

type Arguments = z.output<typeof input>;

export const listThreads = defineTool({
  name: 'list_threads',
  title: 'List threads',
  description:
    'Lists coding-agent threads, newest first, in pages. Use this to find a thread id by directory, branch, text or parent. ' +
    'total counts all matches; hidden counts matching archived threads and sub-agents.',
  kind: 'read',
  input,
  output: z.object({
    threads: z.array(threadSchema),
    nextCursor: z.string().optional(),
    total: z.number(),
    hidden: z.object({ archived: z.number(), subagents: z.number() }),
    warnings: z.array(z.string()).optional(),
  }),
  async handler(args, context) {
    const family = await queriedFamily(args, context);
    const sources = args.sources ?? (family ? undefined : DEFAULT_SOURCES);
    const page = await context.manager.listThreads({
      filter: {
        archived: args.archived,
        sources,
        modelProviders: args.modelProviders,
        cwds: typeof args.cwd === 'string' ? [args.cwd] : args.cwd,
        gitBranch: args.gitBranch,
        search: args.search,
      },
      family,
      sortBy: args.sortBy,
      order: args.order,
      limit: args.limit,
      cursor: args.cursor,
    });
    const threads = fitThreads(page, context.manager);
    const last = page.threads[threads.length - 1];
    const isMore = page.hasMore || threads.length < page.threads.length;
    return present({
      threads,
      nextCursor: isMore ? last?.cursor : undefined,
      total: page.total,
      hidden: hiddenCounts(page.counts, args.archived, sources),
      warnings: page.warnings.length > 0 ? [...page.warnings] : undefined,
    });
  },
});

async function queriedFamily(
  { parentThreadId, ancestorThreadId }: Arguments,
  context: ToolContext,
): Promise<FamilyQuery | undefined> {
  if (parentThreadId !== undefined && ancestorThreadId !== undefined) {
    throw invalidRequest(
      'parentThreadId and ancestorThreadId exclude each other',
      'Give parentThreadId for direct children, or ancestorThreadId for all descendants.',
    );
  }
  if (parentThreadId !== undefined) {
    return { relation: 'children', threadId: await threadIdArgument(parentThreadId, context) };
  }
  if (ancestorThreadId === undefined) return undefined;
  return { relation: 'descendants', threadId: await threadIdArgument(ancestorThreadId, context) };
}

/** The page cut to the size of a result; at least one thread stays. */
function fitThreads(page: ThreadPage, manager: ThreadManager): ThreadView[] {
  const threads: ThreadView[] = [];
  let left = RESULT_CHARACTERS - RESERVED_CHARACTERS - jsonSize(page.warnings);
  for (const { thread } of page.threads) {
    const isLoaded = manager.loadedThread(thread.threadId) !== undefined;
    const view = threadView(thread, { isLoaded, previewLength: LIST_PREVIEW });
    left -= jsonSize(view) + 1;
    if (left < 0 && threads.length > 0) break;
    threads.push(view);
  }
  return threads;
}

/** What the two defaults leave out, each thread counted once: sub-agents, and archived threads of the other sources. */
function hiddenCounts(
  counts: readonly ThreadCount[],
  archived: Arguments['archived'],
  sources: readonly SourceKind[] | undefined,
): { archived: number; subagents: number } {
  const isSource = ({ source }: ThreadCount) => !sources || sources.includes(source);
  const isState = ({ isArchived }: ThreadCount) => isArchived || archived !== 'only';
  const sum = (entries: readonly ThreadCount[]) => entries.reduce((total, { count }) => total + count, 0);
  return {
    archived: archived === 'exclude' ? sum(counts.filter((entry) => entry.isArchived && isSource(entry))) : 0,
    subagents: sum(counts.filter((entry) => HIDDEN_SOURCES.has(entry.source) && !isSource(entry) && isState(entry))),
  };
}
