import { ThreadkeeperError } from '../protocol/errors.js';
import { forTerminal } from './terminal-text.js';

/** Prints a message to the person, on stderr. */
export const warn = (message: string): void => {
  process.stderr.write(forTerminal(`threadkeeper: ${message}\n`));
};

/** Prints the output of a command. */
export const print = (text: string): void => {
  process.stdout.write(forTerminal(text));
};

/** Runs an action. A ThreadkeeperError is printed with its hint, and makes the exit code 1. */
export async function reportErrors(action: () => Promise<number>): Promise<number> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof ThreadkeeperError)) throw error;
    warn(`${error.message}\n${error.hint}`);
    return 1;
  }
}
