import { z } from 'zod';
import { defineTool } from '../define-tool.js';
import { nameParameter, shortText, threadIdArgument, threadIdParameter } from '../parameters.js';
import { newThreadResult, threadOutput } from '../results/thread-result.js';

export const forkThread = defineTool({
  name: 'fork_thread',
  title: 'Fork a thread',
  description:
    'Makes a thread that continues another and loads it. Use this to try another way and keep the original. An open turn is interrupted in the fork.',
  kind: 'addingWrite',
  input: z.strictObject({
    threadId: threadIdParameter,
    lastTurnId: shortText.optional().describe('Last turn to inherit, from read_thread. Default: all.'),
    name: nameParameter.unwrap().optional().describe("Default: the original's."),
  }),
  output: threadOutput,
  async handler({ threadId, ...options }, context) {
    const id = await threadIdArgument(threadId, context);
    return await newThreadResult(await context.manager.forkThread(id, options), context.manager);
  },
});
