import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { GitInfo } from '../protocol/session-meta.js';

const run = promisify(execFile);
const TIMEOUT_MS = 2000;

/**
 * Commit, branch and origin of the repository that a directory lies in, as `git` tells them; a URL loses its credentials.
 * Undefined outside of a repository, and where there is no git.
 */
export async function readGitInfo(directory: string): Promise<GitInfo | undefined> {
  if ((await git(directory, 'rev-parse', '--git-dir')) === undefined) return undefined;
  const [sha, branch, url] = await Promise.all([
    git(directory, 'rev-parse', '--verify', '--quiet', 'HEAD'),
    git(directory, 'symbolic-ref', '--short', '--quiet', 'HEAD'),
    git(directory, 'config', '--get', 'remote.origin.url'),
  ]);
  return { sha, branch, originUrl: url && withoutCredentials(url) };
}

async function git(directory: string, ...args: string[]): Promise<string | undefined> {
  try {
    const env = { ...process.env, GIT_TERMINAL_PROMPT: '0', GIT_OPTIONAL_LOCKS: '0' };
    const { stdout } = await run('git', ['-C', directory, ...args], { timeout: TIMEOUT_MS, env, windowsHide: true });
    return stdout.trim() || undefined;
  } catch {
    return undefined;
  }
}

function withoutCredentials(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, '$1');
}
