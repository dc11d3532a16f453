import { z } from 'zod';
import { invalidRequest, ThreadkeeperError } from '../protocol/errors.js';
import { parseThreadId, type ThreadId } from '../protocol/ids.js';
import type { ToolContext } from './define-tool.js';

/** Arguments that several tools share; their descriptions are what the model reads. */

export const threadIdParameter = z.string().describe('UUID from list_threads.');

export const includeDescendantsParameter = z.boolean().default(true).describe('All that it spawned too, at any depth.');

export const dryRunParameter = z.boolean().default(false).describe('Report only; change nothing.');

/** What somebody said. */
export const messageParameter = z
  .string()
  .overwrite((text) => text.toWellFormed())
  .max(1_000_000)
  .refine((text) => text.trim() !== '', 'must not be blank');

export const NAME_LENGTH = 200;

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is meant
const CONTROL = /[\u0000-\u001f\u007f]/;

const characters = (text: string) => [...text].length;

export const nameParameter = z
  .string()
  .overwrite((text) => text.toWellFormed())
  .trim()
  .min(1)
  .refine((name) => !CONTROL.test(name), 'must not contain control characters such as line breaks')
  .refine((name) => characters(name) <= NAME_LENGTH, `must be at most ${NAME_LENGTH} characters long`)
  .meta({ maxLength: NAME_LENGTH })
  .nullable();

/** A word or two of metadata. */
export const shortText = z
  .string()
  .overwrite((text) => text.toWellFormed())
  .trim()
  .min(1)
  .max(200)
  .refine((text) => !CONTROL.test(text), 'must not contain control characters such as line breaks');

/**
 * The thread id in an argument. Throws `invalid_request`; when the text is the exact name of a thread instead, the
 * hint gives that thread's id.
 */
export async function threadIdArgument(text: string, { manager }: ToolContext): Promise<ThreadId> {
  try {
    return parseThreadId(text);
  } catch (error) {
    if (!(error instanceof ThreadkeeperError)) throw error;
    const named = await manager.findThreadsByName(text, 6).catch(() => []);
    if (named.length === 0) throw error;
    const hint =
      named.length === 1
        ? `It is the name of thread ${named[0]}: use that id.`
        : `${named.length > 5 ? 'More than 5' : named.length} threads have that name: ${named.slice(0, 5).join(', ')}.`;
    throw invalidRequest(error.message, hint);
  }
}
