import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { ThreadView } from '../../src/mcp/thread-view.js';
import type { ItemView, TurnView } from '../../src/mcp/turn-view.js';
import { OurServer, PROJECT, type ThreadReading } from '../support/mcp-client.js';
import { type CodexAnswer, type CodexItem, type CodexTurn, codexAnswers, sourceKind } from './codex-answers.js';

const realHome = inject('realHome');
const realThreads = inject('realThreads');

let folder: string;
let codex: Map<string, CodexAnswer>;

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'threadkeeper-interop-'));
  codex = await codexAnswers(
    realHome,
    Object.values(realThreads).map(({ id }) => id),
  );
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

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
    const target = path.join(folder, 'rebuilt');
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

const ALL_SOURCES = ['cli', 'vscode', 'exec', 'mcp', 'subagent', 'custom', 'internal', 'unknown'];

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
    target = mkdtempSync(path.join(folder, 'home-'));
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

function edgesOf(home: string): { parent: string; child: string }[] {
  const db = new Database(path.join(home, 'state_5.sqlite'), { readonly: true });
  const rows = db.prepare('SELECT parent_thread_id AS parent, child_thread_id AS child FROM thread_spawn_edges').all();
  db.close();
  return rows as { parent: string; child: string }[];
}

function isReverted(home: string, threadId: string): boolean {
  return readdirSync(home, { recursive: true }).some((file) => String(file).includes(`${threadId}_`));
}

async function expectSameEdges(server: OurServer, edges: readonly { parent: string; child: string }[]): Promise<void> {
  for (const parent of new Set(edges.map((edge) => edge.parent))) {
    const children = await server.listAll({ parentThreadId: parent, archived: 'include' });
    const wanted = edges.filter((edge) => edge.parent === parent).map(({ child }) => child);
    expect(children.map(({ threadId }) => threadId).sort()).toEqual(wanted.sort());
  }
}

function byId(threads: readonly ThreadView[]): Map<string, ThreadView> {
  return new Map(threads.map((thread) => [thread.threadId, thread]));
}

/** What both programs say of a thread. Codex gives times in seconds. */
function comparable(view: ThreadView, { thread, updatedAt }: CodexAnswer) {
  const seconds = (time: string) => Math.floor(Date.parse(time) / 1000);
  return {
    // Codex leaves a name out that says the same as the preview; we show it.
    name: view.name === thread.preview.trim() ? null : (view.name ?? null),
    preview: view.preview?.slice(0, 199) ?? '',
    cwd: view.cwd,
    source: view.source,
    git: { sha: view.git?.sha ?? null, branch: view.git?.branch ?? null, originUrl: view.git?.originUrl ?? null },
    createdAt: seconds(view.createdAt),
    updatedAt: updatedAt.includes(seconds(view.updatedAt)) ? updatedAt[0] : seconds(view.updatedAt),
    recencyAt: seconds(view.recencyAt),
    modelProvider: view.modelProvider,
    model: view.model ?? null,
    agentNickname: view.agent?.nickname ?? null,
    agentRole: view.agent?.role ?? null,
    parentThreadId: view.parentThreadId ?? null,
    forkedFromId: view.forkedFromThreadId ?? null,
    isArchived: view.archived === true,
  };
}

function expected({ thread, isArchived }: CodexAnswer): ReturnType<typeof comparable> {
  return {
    name: thread.name,
    preview: thread.preview.slice(0, 199),
    cwd: thread.cwd,
    source: sourceKind(thread.source) as ThreadView['source'],
    git: thread.gitInfo ?? { sha: null, branch: null, originUrl: null },
    createdAt: thread.createdAt,
    updatedAt: thread.updatedAt,
    recencyAt: thread.recencyAt ?? thread.updatedAt,
    modelProvider: thread.modelProvider,
    model: thread.model,
    agentNickname: thread.agentNickname,
    agentRole: thread.agentRole,
    parentThreadId: thread.parentThreadId,
    forkedFromId: thread.forkedFromId,
    isArchived,
  };
}

/** What the rollouts and the name index hold: times of rows and git patches of paginated threads are Codex's DB alone. */
function durable({ git: _, updatedAt: __, recencyAt: ___, createdAt: ____, ...rest }: ReturnType<typeof comparable>) {
  return rest;
}

async function expectSameTurns(server: OurServer, { thread, turns }: CodexAnswer): Promise<void> {
  const ours = await server.turnsOf(thread.id, { includeOutputs: true, maxOutputCharsPerItem: 1_000_000 });
  const isLegacy = thread.historyMode === 'legacy';
  expect(ours.map((turn) => ourTurn(turn, isLegacy))).toEqual(turns.map((turn) => codexTurn(turn, isLegacy)));
}

function ourTurn(turn: TurnView, isLegacy: boolean) {
  const seconds = (time: string | undefined) => (time === undefined ? null : Date.parse(time) / 1000);
  return {
    turnId: turn.turnId,
    status: turn.status,
    startedAt: seconds(turn.startedAt),
    completedAt: seconds(turn.completedAt),
    durationMs: turn.durationMs ?? null,
    error: turn.error ?? null,
    items: turn.items.map((item) => ({ type: item.type, ...(isLegacy ? {} : { id: item.itemId }), ...ourText(item) })),
  };
}

function codexTurn(turn: CodexTurn, isLegacy: boolean) {
  return {
    turnId: turn.id,
    status: turn.status,
    startedAt: turn.startedAt,
    completedAt: turn.completedAt,
    durationMs: turn.durationMs,
    error: turn.error?.message ?? null,
    // Codex numbers the items of a legacy thread from its beginning; read backwards they have ids of their own.
    items: turn.items.map((item) => ({ type: item.type, ...(isLegacy ? {} : { id: item.id }), ...codexText(item) })),
  };
}

function ourText(item: ItemView): Record<string, unknown> {
  const changes = item['changes'] as { path: string }[] | undefined;
  return {
    text: item['text'] ?? item['prompt'] ?? '',
    command: item['command'],
    output: item['aggregatedOutput'],
    exitCode: item['exitCode'],
    status: item['status'],
    paths: changes?.map((change) => change.path),
    receivers: item['receiverThreadIds'],
    attachments: (item['attachments'] as unknown[] | undefined)?.length ?? 0,
  };
}

function codexText(item: CodexItem): Record<string, unknown> {
  const parts = item.content ?? [];
  const texts = parts.filter((part) => part.type === 'text').map((part) => part.text ?? '');
  return {
    text: item.text ?? item.prompt ?? (item.summary ? item.summary.join('\n\n') : texts.join('')),
    command: item.command,
    output: item.aggregatedOutput || undefined,
    exitCode: item.exitCode ?? undefined,
    status: item.status,
    paths: item.changes?.map((change) => change.path),
    receivers: item.receiverThreadIds,
    attachments: item.type === 'userMessage' ? parts.filter((part) => part.type !== 'text').length : 0,
  };
}
