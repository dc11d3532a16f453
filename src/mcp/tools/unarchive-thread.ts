import { z } from 'zod';
import { defineTool } from '../define-tool.js';
import { dryRunParameter, includeDescendantsParameter, threadIdArgument, threadIdParameter } from '../parameters.js';
import { treeMoveOutput, treeMoveView } from '../results/tree-move-result.js';

export const unarchiveThread = defineTool({
  name: 'unarchive_thread',
  title: 'Unarchive a thread',
  description:
    'Unarchives a thread and all that it spawned. Use this to undo archive_thread, or to continue an archived thread.',
  kind: 'reversibleWrite',
  input: z.strictObject({
    threadId: threadIdParameter,
    includeDescendants: includeDescendantsParameter,
    dryRun: dryRunParameter,
  }),
  output: z.object({ unarchived: z.array(z.string()), ...treeMoveOutput }),
  async handler({ threadId, includeDescendants, dryRun }, context) {
    const id = await threadIdArgument(threadId, context);
    const { moved, ...rest } = treeMoveView(await context.manager.unarchiveThread(id, { includeDescendants, dryRun }));
    return { unarchived: moved, ...rest, dryRun };
  },
});
