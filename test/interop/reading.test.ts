import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { OurServer, PROJECT, type ThreadReading } from '../support/mcp-client.js';
import { type CodexAnswer, codexAnswers } from './codex-answers.js';
import {
  ALL_SOURCES,
  byId,
  comparable,
  durable,
  edgesOf,
  expected,
  expectSameEdges,
  expectSameTurns,
} from './same-answers.js';

const realHome = inject('realHome');
const realThreads = inject('realThreads');

let directory: string;
let codex: Map<string, CodexAnswer>;

beforeAll(async () => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'threadkeeper-interop-'));
  codex = await codexAnswers(
    realHome,
    Object.values(realThreads).map(({ id }) => id),
  );
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('reading a home that real Codex wrote, with its DB', () => {
  const server = served(() => realHome);

  it('compares a home that is worth it', () => {
    const answers = [...codex.values()];
    expect(answers.length).toBeGreaterThanOrEqual(30);
    expect(answers.filter(({ thread }) => thread.historyMode === 'legacy').length).toBeGreaterThanOrEqual(3);
    expect(answers.filter(({ isArchived }) => isArchived).length).toBeGreaterThanOrEqual(3);
    expect(answers.filter(({ thread }) => thread.forkedFromId).length).toBeGreaterThanOrEqual(3);
    expect(answers.filter(({ thread }) => thread.parentThreadId).length).toBeGreaterThanOrEqual(10);
    expect(answers.reduce((sum, { turns }) => sum + turns.length, 0)).toBeGreaterThanOrEqual(40);
  });

  it('lists every thread that Codex has, with the same metadata', async () => {
    const ours = byId(await server().listAll({ archived: 'include', sources: ALL_SOURCES }));
    expect([...ours.keys()].sort()).toEqual([...codex.keys()].sort());
    for (const answer of codex.values()) {
      const view = ours.get(answer.thread.id);
      expect(view && comparable(view, answer)).toEqual(expected(answer));
    }
  });

  it('reads every thread with the same metadata as it is listed', async () => {
    const listed = byId(await server().listAll({ archived: 'include', sources: ALL_SOURCES }));
    for (const id of codex.keys()) {
      const { thread } = await server().call<ThreadReading>('read_thread', { threadId: id, includeTurns: false });
      expect({ ...thread, preview: thread.preview?.slice(0, 199) }).toEqual({
        ...listed.get(id),
        preview: listed.get(id)?.preview?.slice(0, 199),
      });
    }
  });

  it('reads every turn with the same items and texts', async () => {
    for (const answer of codex.values()) await expectSameTurns(server(), answer);
  });

  it('reads the same turns newest first, two at a time', async () => {
    for (const { thread, turns } of codex.values()) {
      const ids: string[] = [];
      let cursor: string | undefined;
      do {
        const args = { threadId: thread.id, turnLimit: 2, ...(cursor ? { cursor } : {}) };
        const page = await server().call<ThreadReading>('read_thread', args);
        for (const { turnId } of page.turns ?? []) if (ids.at(-1) !== turnId) ids.push(turnId);
        cursor = page.nextCursor;
      } while (cursor);
      expect(ids).toEqual(turns.map(({ id }) => id).reverse());
    }
  });

  it('is a home in which threadkeeper doctor finds nothing', async () => {
    const main = path.join(PROJECT, 'dist/main.js');
    const { stdout } = await promisify(execFile)(process.execPath, [main, 'doctor', '--json', '--home', realHome]);
    expect(JSON.parse(stdout).findings).toEqual([]);
  });

  it('knows who spawned whom', async () => {
    const edges = edgesOf(realHome);
    expect(edges.length).toBeGreaterThanOrEqual(10);
    await expectSameEdges(server(), edges);
  });
});

describe('reading the same home with its DB deleted', () => {
  const home = copied((target) => removeSqlite(target, /^state_/));
  const server = served(home);

  it('lists every thread, the names of paginated ones included, which Codex loses', async () => {
    const ours = byId(await server().listAll({ archived: 'include', sources: ALL_SOURCES }));
    expect([...ours.keys()].sort()).toEqual([...codex.keys()].sort());
    for (const answer of codex.values()) {
      const view = ours.get(answer.thread.id);
      expect(view && durable(comparable(view, answer))).toEqual(durable(expected(answer)));
    }
  });

  it('reads every turn', async () => {
    for (const answer of codex.values()) await expectSameTurns(server(), answer);
  });

  it('derives who spawned whom from the rollouts', async () => {
    await expectSameEdges(server(), edgesOf(realHome));
  });

  it('says the same as a Codex that had to rebuild its DB, but for what that lost', async () => {
    const target = path.join(directory, 'rebuilt');
    cpSync(realHome, target, { recursive: true, preserveTimestamps: true });
    removeSqlite(target, /^state_/);
    const rebuilt = await codexAnswers(target, []);
    expect(rebuilt.size).toBeGreaterThanOrEqual(30);
    const ours = byId(await server().listAll({ archived: 'include', sources: ALL_SOURCES }));
    for (const answer of rebuilt.values()) {
      const view = ours.get(answer.thread.id);
      // Codex takes the oldest file of a reverted thread then, and so brings back what was reverted; we the newest.
      if (isReverted(target, answer.thread.id)) continue;
      const { name: _, preview: __, ...rest } = expected(answer);
      expect(view && comparable(view, answer)).toMatchObject(rest);
    }
  });
});

describe('reading the same home with the projection DB deleted', () => {
  const home = copied((target) => {
    removeSqlite(target, /^thread_history_/);
    repointRows(target);
  });
  const server = served(home);

  it('reads every turn, where Codex answers none', async () => {
    for (const answer of codex.values()) await expectSameTurns(server(), answer);
  });
});

function served(home: () => string): () => OurServer {
  let server: OurServer | undefined;
  beforeAll(async () => {
    server = await new OurServer(home()).start();
  });
  afterAll(async () => await server?.stop());
  return () => {
    if (!server) throw new Error('the server has not been started');
    return server;
  };
}

function copied(change: (home: string) => void): () => string {
  let target = '';
  beforeAll(() => {
    target = mkdtempSync(path.join(directory, 'home-'));
    cpSync(realHome, target, { recursive: true, preserveTimestamps: true });
    change(target);
  });
  return () => target;
}

function removeSqlite(home: string, name: RegExp): void {
  for (const file of readdirSync(home)) if (name.test(file)) rmSync(path.join(home, file));
  expect(readdirSync(home).some((file) => name.test(file))).toBe(false);
}

/** The rows of a copied home point at the original: a copy that is to be used with its DB needs them moved along. */
function repointRows(home: string): void {
  const db = new Database(path.join(home, 'state_5.sqlite'));
  db.prepare('UPDATE threads SET rollout_path = replace(rollout_path, ?, ?)').run(realHome, home);
  db.close();
}

function isReverted(home: string, threadId: string): boolean {
  return readdirSync(home, { recursive: true }).some((file) => String(file).includes(`${threadId}_`));
}
