import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { TestProject } from 'vitest/node';
import { installCodex, makeRealHome } from './rig/with-codex.mjs';

declare module 'vitest' {
  interface ProvidedContext {
    realHome: string;
    realThreads: Record<string, { id: string; what: string }>;
  }
}

/** Installs Codex and lets it write one home, which the suites read; each that writes makes its own. */
export default async function setup(project: TestProject): Promise<() => void> {
  installCodex();
  const directory = mkdtempSync(path.join(os.tmpdir(), 'threadkeeper-real-'));
  const { home, threads } = await makeRealHome(directory);
  project.provide('realHome', home);
  project.provide('realThreads', threads);
  return () => rmSync(directory, { recursive: true, force: true });
}
