// Run the Codex command line (not the app-server).
import { spawn } from 'node:child_process';
import { endWithParent } from './children.mjs';
import { codexBinary, codexEnvironment } from './paths.mjs';

/**
 * Run `codex ARGS...` over a home and wait for its end.
 *
 * @param {string} home  CODEX_HOME
 * @param {string[]} args
 * @param {object} [options]
 * @param {string} [options.cwd]
 * @param {Record<string, string>} [options.env]  more environment variables
 * @param {string} [options.input]  standard input (default: empty)
 * @param {number} [options.timeoutMs]  default 90000
 * @param {string} [options.binary]  default: the installed one, or CODEX_BIN
 * @returns {Promise<{exitCode: number|null, signal: string|null, stdout: string, stderr: string, ms: number}>}
 */
export function runCodex(home, args, { cwd, env = {}, input = '', timeoutMs = 90_000, binary = codexBinary() } = {}) {
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(binary, args, { cwd, env: codexEnvironment(home, env), stdio: ['pipe', 'pipe', 'pipe'] });
    endWithParent(child);
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text;
    });
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    child.once('error', reject);
    child.once('close', (exitCode, signal) => {
      clearTimeout(timer);
      resolve({ exitCode, signal, stdout, stderr, ms: Math.round(performance.now() - started) });
    });
  });
}

/**
 * Run one turn with `codex exec --json`, in a new thread or in one that exists.
 *
 * @param {string} home  CODEX_HOME
 * @param {string} prompt
 * @param {object} [options]  those of runCodex, and:
 * @param {string} [options.model]  default gpt-5.5
 * @param {string} [options.resume]  continue this thread
 * @param {string} [options.fork]  fork this thread and continue the fork
 * @param {string[]} [options.args]  more arguments for `codex exec`
 * @returns {Promise<{threadId: string|null, exitCode: number|null, signal: string|null, stdout: string, stderr: string, ms: number}>}
 */
export async function codexExec(home, prompt, { model = 'gpt-5.5', resume, fork, args = [], ...options } = {}) {
  const command = ['exec', '--skip-git-repo-check', '--json', '-m', model];
  if (resume) {
    command.push('resume', resume);
  } else if (fork) {
    command.push('fork', fork);
  }
  const result = await runCodex(home, [...command, prompt, ...args], options);
  const match = /"thread_id":"([^"]+)"/.exec(result.stdout);
  return { threadId: match ? match[1] : null, ...result };
}

/** A CLI's standard error without the line that every run prints. */
export function usefulStderr(stderr) {
  return stderr
    .split('\n')
    .filter((line) => line && !/PATH alias/.test(line))
    .join('\n');
}
