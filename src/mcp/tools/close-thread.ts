import { z } from 'zod';
import { defineTool } from '../define-tool.js';
import { threadIdArgument, threadIdParameter } from '../parameters.js';
import { present } from '../results/thread-view.js';

export const closeThread = defineTool({
  name: 'close_thread',
  title: 'Close a thread',
  description:
    'Ends the open turn of a loaded thread and unlocks it, so that Codex can resume it. Does nothing when it is not loaded.',
  kind: 'reversibleWrite',
  input: z.strictObject({ threadId: threadIdParameter }),
  output: z.object({ threadId: z.string(), closed: z.boolean(), warnings: z.array(z.string()).optional() }),
  async handler({ threadId }, context) {
    const id = await threadIdArgument(threadId, context);
    const { wasLoaded, warnings } = await context.manager.closeThread(id);
    return present({ threadId: id, closed: wasLoaded, warnings: warnings.length > 0 ? [...warnings] : undefined });
  },
});
