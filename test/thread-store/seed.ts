import type { ThreadId } from '../../src/protocol/ids.js';
import { newId, type RolloutSpec, spawnedBy } from '../support/test-home.js';

/** A thread as the contract suite wants it to be in a store. */
export interface Seed {
  readonly id: ThreadId;
  readonly mode: 'legacy' | 'paginated';
  readonly at: string;
  readonly cwd: string;
  readonly source: string;
  readonly provider: string;
  readonly branch: string | undefined;
  readonly archived: boolean;
  readonly name: string | undefined;
  readonly parent: ThreadId | undefined;
  readonly turns: readonly (readonly [string, string])[];
}

export function seed(fields: Partial<Seed> = {}): Seed {
  return {
    id: newId(),
    mode: 'legacy',
    at: '2026-11-20T10:00:00.000Z',
    cwd: '/home/dev/project',
    source: 'cli',
    provider: 'mock',
    branch: undefined,
    archived: false,
    name: undefined,
    parent: undefined,
    turns: [['first question', 'first answer']],
    ...fields,
  };
}

/** The seed as a rollout. */
export function rolloutOf({ id, mode, at, cwd, source, provider, branch, archived, parent, turns }: Seed): RolloutSpec {
  const git = branch === undefined ? {} : { git: { branch } };
  const spawn = parent === undefined ? {} : spawnedBy(parent);
  return { id, mode, at, archived, turns, meta: { cwd, source, model_provider: provider, ...git, ...spawn } };
}
