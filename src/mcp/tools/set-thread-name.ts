import { z } from 'zod';
import { defineTool } from '../define-tool.js';
import { nameParameter, threadIdArgument, threadIdParameter } from '../parameters.js';
import { threadOutput, updateResult } from '../results/thread-result.js';

export const setThreadName = defineTool({
  name: 'set_thread_name',
  title: 'Name a thread',
  description:
    'Sets or clears the name of a thread, active or archived. Use this to make it easy to find. Names need not be unique.',
  kind: 'reversibleWrite',
  input: z.strictObject({
    threadId: threadIdParameter,
    name: nameParameter.describe('1–200 characters; null clears the name.'),
  }),
  output: threadOutput,
  async handler({ threadId, name }, context) {
    const id = await threadIdArgument(threadId, context);
    return updateResult(await context.manager.updateThreadMetadata(id, { name }), context.manager);
  },
});
