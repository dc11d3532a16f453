import { z } from 'zod';
import { invalidRequest } from '../../protocol/errors.js';
import { isDeeperThan } from '../../protocol/json.js';
import type { ConversationItem } from '../../transcript/turn-writer.js';
import { defineTool } from '../define-tool.js';
import { messageParameter, shortText, threadIdArgument, threadIdParameter } from '../parameters.js';
import { present } from '../results/thread-view.js';

/** What is nested deeper not every program can read. */
const DEEPEST = 100;

const item = z.strictObject({
  type: z.enum(['userMessage', 'agentMessage', 'toolCall']),
  text: messageParameter.optional().describe('Message text.'),
  tool: shortText.optional().describe('Of a toolCall, with arguments, output, status.'),
  arguments: z
    .record(z.string(), z.unknown())
    .refine((args) => !isDeeperThan(args, DEEPEST), `must not be nested more than ${DEEPEST} deep`)
    .optional(),
  output: z
    .string()
    .overwrite((text) => text.toWellFormed())
    .max(1_000_000)
    .optional(),
  status: z.enum(['completed', 'failed']).optional(),
});

export const appendToThread = defineTool({
  name: 'append_to_thread',
  title: 'Append to a thread',
  description:
    'Appends messages and tool calls; they are stored when it returns. Loads the thread, which is then locked until close_thread. ' +
    'A userMessage opens a turn and ends the one before. After an error follow its hint before repeating items.',
  kind: 'addingWrite',
  input: z.strictObject({
    threadId: threadIdParameter,
    items: z.array(item).max(1000).describe('In order.'),
    endTurn: z.boolean().default(false).describe('End the turn after the items.'),
  }),
  output: z.object({
    threadId: z.string(),
    turnId: z.string().optional(),
    appended: z.number(),
    warnings: z.array(z.string()).optional(),
  }),
  async handler({ threadId, items, endTurn }, context) {
    if (items.length === 0 && !endTurn) {
      throw invalidRequest('there is nothing to append', 'Give at least one item, or endTurn: true.');
    }
    const conversation = items.map(conversationItem);
    const id = await threadIdArgument(threadId, context);
    const { turnId, appended, warnings } = await context.manager.appendToThread(id, conversation, { endTurn });
    return present({ threadId: id, turnId, appended, warnings: warnings.length > 0 ? [...warnings] : undefined });
  },
});

const KEYS = { message: ['text'], toolCall: ['tool', 'arguments', 'output', 'status'] } as const;

/** The item, if it has what its type needs and nothing else. */
function conversationItem({ type, ...rest }: z.output<typeof item>, index: number): ConversationItem {
  const wanted: readonly string[] = KEYS[type === 'toolCall' ? 'toolCall' : 'message'];
  const extra = Object.keys(rest).filter((key) => !wanted.includes(key));
  const { text, tool, arguments: args = {}, output = '', status = 'completed' } = rest;
  if (extra.length === 0 && type === 'toolCall' && tool !== undefined) {
    return { type, tool, arguments: args, output, status };
  }
  if (extra.length === 0 && type !== 'toolCall' && text !== undefined) return { type, text };
  const problem = extra.length > 0 ? `has ${extra.join(', ')}, which a ${type} does not take` : 'lacks required keys';
  throw invalidRequest(
    `items.${index} ${problem}`,
    'A userMessage or agentMessage has text; a toolCall has tool, and may have arguments, output and status.',
  );
}
