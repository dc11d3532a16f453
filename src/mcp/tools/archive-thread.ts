import { z } from 'zod';
import { dryRunParameter, includeDescendantsParameter, threadIdArgument, threadIdParameter } from '../parameters.js';
import { defineTool } from '../tool.js';
import { treeMoveOutput, treeMoveView } from '../tree-move-result.js';

export const archiveThread = defineTool({
  name: 'archive_thread',
  title: 'Archive a thread',
  description:
    'Archives a thread and, after it, everything that it spawned, deepest first; unarchive_thread brings it back. Use this to tidy up. A thread that another program is writing is reported as failed and stays; if the root cannot be archived nothing moves. Nothing is deleted.',
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
