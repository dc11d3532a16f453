import { z } from 'zod';
import type { ThreadId } from '../../protocol/ids.js';
import { defineTool, type ToolContext } from '../define-tool.js';
import { threadIdArgument, threadIdParameter } from '../parameters.js';
import { jsonSize, RESERVED_CHARACTERS, RESULT_CHARACTERS } from '../results/size.js';
import { present, threadSchema, threadView } from '../results/thread-view.js';
import { decodeTurnCursor, encodeTurnCursor, type TurnList } from '../results/turn-cursor.js';
import { turnSchema, turnViews } from '../results/turn-view.js';

const input = z.strictObject({
  threadId: threadIdParameter,
  includeTurns: z.boolean().default(true).describe('false: only the metadata.'),
  turnLimit: z.int().min(1).max(100).default(10).describe('Turns in a page.'),
  order: z
    .enum(['newestFirst', 'oldestFirst'])
    .default('newestFirst')
    .describe('Order of the turns; items inside a turn are always in order.'),
  cursor: z.string().max(2000).optional().describe('nextCursor of the page before; other arguments unchanged.'),
  includeOutputs: z.boolean().default(false).describe('Show tool outputs, diffs and reasoning instead of their sizes.'),
  maxOutputCharsPerItem: z.int().min(1).max(1_000_000).default(2000).describe('Characters of one output.'),
});

type Arguments = z.output<typeof input>;

export const readThread = defineTool({
  name: 'read_thread',
  title: 'Read a thread',
  description:
    'Reads one thread, archived or not: metadata and turns in pages, the newest 10 first. Use this to see what was said and done. ' +
    'Outputs of tools and reasoning show as …Chars unless includeOutputs. A result has at most 30,000 characters; ' +
    'nextCursor continues from its end, even inside a turn.',
  kind: 'read',
  input,
  output: z.object({
    thread: threadSchema,
    turns: z.array(turnSchema).optional(),
    nextCursor: z.string().optional(),
    warnings: z.array(z.string()).optional(),
  }),
  async handler(args, context) {
    const threadId = await threadIdArgument(args.threadId, context);
    const isLoaded = context.manager.loadedThread(threadId) !== undefined;
    const thread = threadView(await context.manager.readThread(threadId), { isLoaded });
    if (!args.includeTurns) return { thread };
    const budget = RESULT_CHARACTERS - RESERVED_CHARACTERS - jsonSize(thread);
    return { thread, ...(await turnsOf(threadId, args, budget, context)) };
  },
});

async function turnsOf(threadId: ThreadId, args: Arguments, budget: number, { manager }: ToolContext) {
  const list: TurnList = { threadId, order: args.order };
  const cursor = args.cursor === undefined ? undefined : decodeTurnCursor(list, args.cursor);
  const page = await manager.listTurns({ ...list, limit: args.turnLimit, cursor });
  const { turns, next } = turnViews(page.turns, {
    includeOutputs: args.includeOutputs,
    maxOutputChars: args.maxOutputCharsPerItem,
    budget,
    cursor,
  });
  const last = page.turns.at(-1);
  const goesOn = next ?? (page.hasMore && last ? { turnId: last.turnId, ...last.anchor } : undefined);
  return present({
    turns,
    nextCursor: goesOn && encodeTurnCursor(list, goesOn),
    warnings: page.warnings.length > 0 ? [...page.warnings] : undefined,
  });
}
