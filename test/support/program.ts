import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { PROJECT } from './mcp-client.js';

const MAIN = path.join(PROJECT, 'dist/main.js');

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the built program to its end, `through` a command that runs it if one is given. */
export async function runProgram(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  through: readonly string[] = [],
): Promise<Ran> {
  const [command = '', ...rest] = [...through, process.execPath, MAIN, ...args];
  try {
    const ran = await promisify(execFile)(command, rest, { env: { ...process.env, ...env } });
    return { code: 0, ...ran };
  } catch (error) {
    const { code, stdout, stderr } = error as Ran;
    return { code, stdout, stderr };
  }
}
