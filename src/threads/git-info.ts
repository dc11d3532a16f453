import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { GitInfo } from '../protocol/session-meta.js';

const run = promisify(execFile);
const TIMEOUT_MS = 2000;

/**
 * Commit, branch and origin of the repository that a folder lies in, as `git` tells them; a URL loses its credentials.
 * Undefined outside of a repository, and where there is no git.
 */
export async function gitInfoOf(folder: string): Promise<GitInfo | undefined> {
  if ((await git(folder, 'rev-parse', '--git-dir')) === undefined) return undefined;
  const [sha, branch, url] = await Promise.all([
    git(folder, 'rev-parse', '--verify', '--quiet', 'HEAD'),
    git(folder, 'symbolic-ref', '--short', '--quiet', 'HEAD'),
    git(folder, 'config', '--get', 'remote.origin.url'),
  ]);
  return { sha, branch, originUrl: url && withoutCredentials(url) };
}

async function git(folder: string, ...args: string[]): Promise<string | undefined> {
  try {
    const env = { ...process.env, GIT_TERMINAL_PROMPT: '0', GIT_OPTIONAL_LOCKS: '0' };
    const { stdout } = await run('git', ['-C', folder, ...args], { timeout: TIMEOUT_MS, env, windowsHide: true });
    return stdout.trim() || undefined;
  } catch {
    return undefined;
  }
}

function withoutCredentials(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, '$1');
}
