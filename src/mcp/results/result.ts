import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import { cutText } from '../../protocol/cut-text.js';
import { internalError, readFailure, systemErrorPath, ThreadkeeperError } from '../../protocol/errors.js';
import { strictJson } from '../../protocol/json.js';
import { RESULT_CHARACTERS } from './size.js';

/** The same compact JSON twice: some clients hand the model only one of the two. */
export function success(result: object): CallToolResult {
  const text = strictJson(result);
  if (text.length > RESULT_CHARACTERS) {
    throw internalError(`the result has ${text.length} characters`, 'Ask for less: a smaller limit or turnLimit.');
  }
  return { content: [{ type: 'text', text }], structuredContent: Object(JSON.parse(text)) };
}

export function failure(error: ThreadkeeperError): CallToolResult {
  const body = { error: errorBody(error) };
  return { isError: true, content: [{ type: 'text', text: strictJson(body) }], structuredContent: body };
}

/** An error as a client sees it: never a stack trace. */
export function errorBody({ code, message, hint }: ThreadkeeperError): { code: string; message: string; hint: string } {
  return { code, message: cutText(message, 1000).toWellFormed(), hint: cutText(hint, 1000).toWellFormed() };
}

/** The error as a ThreadkeeperError. An unexpected error keeps its details in `cause`, for the log. */
export function asThreadkeeperError(error: unknown): ThreadkeeperError {
  if (error instanceof ThreadkeeperError) return error;
  const file = systemErrorPath(error);
  if (file !== undefined) return readFailure(file, error);
  return internalError(
    'an unexpected error occurred',
    'See the log of the server (stderr); calling again is safe.',
    error,
  );
}
