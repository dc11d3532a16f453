import path from 'node:path';
import { z } from 'zod';
import { invalidRequest } from '../../protocol/errors.js';
import { defineTool } from '../define-tool.js';
import { messageParameter, nameParameter, shortText, threadIdArgument } from '../parameters.js';
import { newThreadResult, threadOutput } from '../results/thread-result.js';

const isAbsolute = (directory: string) => path.posix.isAbsolute(directory) || path.win32.isAbsolute(directory);

export const startThread = defineTool({
  name: 'start_thread',
  title: 'Start a thread',
  description:
    'Starts a thread for append_to_thread. Use this to record work that Codex can list and resume. ' +
    'It is stored once it has a message, a name or a parent.',
  kind: 'addingWrite',
  input: z.strictObject({
    cwd: z
      .string()
      .overwrite((text) => text.toWellFormed())
      .min(1)
      .max(4000)
      .refine((text) => !text.includes('\0'), 'must be the path of a directory')
      .refine(isAbsolute, 'must be an absolute path')
      .describe('Absolute directory of the work.'),
    name: nameParameter.unwrap().optional().describe('1–200 characters.'),
    model: shortText.optional().describe('Model of the work.'),
    modelProvider: shortText.optional().describe('Codex resumes only providers of its config. Default: its own.'),
    message: messageParameter.optional().describe('First user message; it opens a turn.'),
    parentThreadId: z.string().optional().describe('Thread that spawns this one.'),
    agentRole: shortText.optional().describe('With a parent only.'),
    agentNickname: shortText.optional().describe('Likewise.'),
    ephemeral: z.boolean().default(false).describe('Keep in memory only, until closed.'),
  }),
  output: threadOutput,
  async handler({ parentThreadId, ephemeral, ...params }, context) {
    if (parentThreadId === undefined && (params.agentRole !== undefined || params.agentNickname !== undefined)) {
      throw invalidRequest('agentRole and agentNickname need a spawned thread', 'Give parentThreadId too.');
    }
    const parent = parentThreadId === undefined ? undefined : await threadIdArgument(parentThreadId, context);
    const started = { ...params, parentThreadId: parent, isEphemeral: ephemeral };
    return await newThreadResult(await context.manager.startThread(started), context.manager);
  },
});
