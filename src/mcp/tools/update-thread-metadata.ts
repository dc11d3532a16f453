import { z } from 'zod';
import { invalidRequest } from '../../protocol/errors.js';
import { isEmptyPatch } from '../../store/thread-patch.js';
import { defineTool } from '../define-tool.js';
import { nameParameter, threadIdArgument, threadIdParameter } from '../parameters.js';
import { threadOutput, updateResult } from '../results/thread-result.js';

const gitPart = z.string().trim().min(1).max(1000).nullable().optional();

export const updateThreadMetadata = defineTool({
  name: 'update_thread_metadata',
  title: 'Update thread metadata',
  description:
    'Changes name, git facts or memory mode of a thread, active or archived, all or nothing. Give at least one. For the name alone use set_thread_name.',
  kind: 'reversibleWrite',
  input: z.strictObject({
    threadId: threadIdParameter,
    name: nameParameter.optional().describe('1–200 characters; null clears it.'),
    gitInfo: z
      .strictObject({ sha: gitPart, branch: gitPart, originUrl: gitPart })
      .optional()
      .describe('Each part: absent keeps, null clears, a string sets.'),
    memoryMode: z.enum(['enabled', 'disabled']).optional().describe('Whether memories may be made from this thread.'),
  }),
  output: threadOutput,
  async handler({ threadId, ...patch }, context) {
    if (isEmptyPatch(patch)) {
      throw invalidRequest(
        'there is nothing to change',
        'Give at least one of name, gitInfo (sha, branch, originUrl), memoryMode.',
      );
    }
    const id = await threadIdArgument(threadId, context);
    return updateResult(await context.manager.updateThreadMetadata(id, patch), context.manager);
  },
});
