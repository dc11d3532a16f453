import { z } from 'zod';
import { defineTool } from '../define-tool.js';
import { dryRunParameter, includeDescendantsParameter, threadIdArgument, threadIdParameter } from '../parameters.js';
import { treeMoveOutput, treeMoveView } from '../results/tree-move-result.js';

export const archiveThread = defineTool({
  name: 'archive_thread',
  title: 'Archive a thread',
  description:
    'Archives a thread and all that it spawned. Use this to tidy up; unarchive_thread brings it back, nothing is deleted. Threads that another program is writing are listed as failed; if the root is, nothing moves.',
  kind: 'reversibleWrite',
  input: z.strictObject({
    threadId: threadIdParameter,
    includeDescendants: includeDescendantsParameter,
    dryRun: dryRunParameter,
  }),
  output: z.object({ archived: z.array(z.string()), ...treeMoveOutput }),
  async handler({ threadId, includeDescendants, dryRun }, context) {
    const id = await threadIdArgument(threadId, context);
    const { moved, ...rest } = treeMoveView(await context.manager.archiveThread(id, { includeDescendants, dryRun }));
    return { archived: moved, ...rest, dryRun };
  },
});
