import { ThreadkeeperError } from '../protocol/errors.js';

/** The error of the closed set that a call must fail with. */
export async function errorOf(call: Promise<unknown>): Promise<ThreadkeeperError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof ThreadkeeperError) return error;
    throw error;
  }
  throw new Error('the call did not fail');
}
