import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { OurServer } from '../support/mcp-client.js';
import { sql } from '../support/postgres-store.js';
import { runProgram } from '../support/program.js';
import { type CodexAnswer, codexAnswers, withAppServer } from './codex-answers.js';
import { startMock, writeConfig } from './rig/with-codex.mjs';
import { ALL_SOURCES, byId, comparable, edgesOf, expected, expectSameEdges, expectSameTurns } from './same-answers.js';

const realHome = inject('realHome');
const realThreads = inject('realThreads');
const ids = Object.values(realThreads).map(({ id }) => id);
const schema = `interop_${process.pid}`;
const env = { THREADKEEPER_STORE: inject('postgresUrl') };

let directory: string;
let codex: Map<string, CodexAnswer>;
let model: Awaited<ReturnType<typeof startMock>>;

beforeAll(async () => {
  model = await startMock();
  directory = mkdtempSync(path.join(os.tmpdir(), 'threadkeeper-transfer-'));
  codex = await codexAnswers(realHome, ids);
  const { code, stdout, stderr } = await runProgram(['import', '--from', realHome, '--schema', schema], env);
  expect(`${stderr}${stdout}`).toMatch(/ copied, \d+ lines of history/);
  expect(code).toBe(0);
});

afterAll(async () => {
  await model.stop();
  await sql(`DROP SCHEMA IF EXISTS ${schema} CASCADE`);
  rmSync(directory, { recursive: true, force: true });
});

describe('a home that real Codex wrote, imported into PostgreSQL', () => {
  it('is listed with the same metadata, and read with the same turns', async () => {
    const server = await new OurServer(undefined, ['--schema', schema], env).start();
    const ours = byId(await server.listAll({ archived: 'include', sources: ALL_SOURCES }));
    expect([...ours.keys()].sort()).toEqual([...codex.keys()].sort());
    for (const answer of codex.values()) {
      const view = ours.get(answer.thread.id);
      expect(view && comparable(view, answer)).toEqual(expected(answer));
      await expectSameTurns(server, answer);
    }
    await expectSameEdges(server, edgesOf(realHome));
    await server.stop();
  });
});

describe('the same threads, exported into a home where Codex was started once', () => {
  const home = () => path.join(directory, 'with-db');

  beforeAll(async () => {
    await exported(home(), true);
  });

  it('are what real Codex answers, all metadata and edges included', async () => {
    const back = await codexAnswers(home(), ids);
    expect([...back.keys()].sort()).toEqual([...codex.keys()].sort());
    for (const [id, answer] of codex) expect(readMetadata(back.get(id))).toEqual(readMetadata(answer));
    expect(edgesOf(home())).toEqual(edgesOf(realHome));
  });

  it('have the same turns in real Codex, which resumes every one', async () => {
    await expectSameTurnsInCodex(home());
  });

  it('are continued by real Codex, a fork as well', async () => {
    const fork = [...codex.values()].find(
      ({ thread, isArchived }) => thread.forkedFromId && thread.historyMode === 'paginated' && !isArchived,
    );
    await withAppServer(home(), async (server) => {
      const threadId = fork?.thread.id;
      await server.send('thread/resume', { threadId });
      const turn = await server.runTurn(threadId ?? '', '[[answer:goes on]] after the export');
      expect(turn.status).toBe('completed');
      const { rows } = await server.listAll<{ items: { text?: string }[] }>('thread/turns/list', {
        threadId,
        itemsView: 'full',
        sortDirection: 'asc',
        limit: 100,
      });
      expect(rows).toHaveLength((fork?.turns.length ?? 0) + 1);
      expect(JSON.stringify(rows.at(-1))).toContain('goes on');
    });
  });
});

describe('the same threads, exported into an empty home', () => {
  const home = () => path.join(directory, 'empty');

  beforeAll(async () => {
    await exported(home(), false);
  });

  it('are what real Codex answers, but for recency, which is in its DB alone', async () => {
    // Codex makes its DB, without the names of paginated threads; the next start of ours gives them back.
    await codexAnswers(home(), []);
    await (await new OurServer(home()).start()).stop();
    const back = await codexAnswers(home(), ids);
    expect([...back.keys()].sort()).toEqual([...codex.keys()].sort());
    for (const [id, answer] of codex) {
      const { recencyAt: _, ...durable } = { ...expected(answer), historyMode: answer.thread.historyMode };
      // The times of a reverted thread, and of one that was written while it was copied, follow from its file.
      const { createdAt: __, updatedAt: ___, ...rest } = durable;
      expect(readMetadata(back.get(id))).toMatchObject(rest);
    }
    // Those of paginated threads it shows when it has resumed them, as above.
    const legacy = [...codex].filter(([, { thread }]) => thread.historyMode === 'legacy');
    expect(legacy.length).toBeGreaterThanOrEqual(3);
    for (const [id, { turns }] of legacy) expect(back.get(id)?.turns).toEqual(turns);
  });

  it('are left alone by a second export', async () => {
    const again = await runProgram(['export', '--to', home(), '--schema', schema, '--json'], env);
    expect(JSON.parse(again.stdout)).toMatchObject({ total: codex.size, added: 0, leftAlone: codex.size });
  });
});

async function exported(home: string, withDb: boolean): Promise<void> {
  const dry = await runProgram(['export', '--to', home, '--schema', schema, '--dry-run'], env);
  expect(dry.stdout).toContain(`${codex.size} would be copied`);
  expect(existsSync(home)).toBe(false);
  mkdirSync(home);
  writeConfig(home, model.port);
  if (withDb) await withAppServer(home, (server) => server.send('thread/list', { limit: 1 }));
  const { code, stdout } = await runProgram(['export', '--to', home, '--schema', schema, '--json'], env);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ added: codex.size, failed: [], notes: [] });
}

/** Codex shows the turns of a paginated thread once it has resumed it: archived ones are brought back for that. */
async function expectSameTurnsInCodex(home: string): Promise<void> {
  await withAppServer(home, async (server) => {
    for (const { thread, isArchived } of codex.values()) {
      if (thread.historyMode === 'legacy') continue;
      if (isArchived) await server.send('thread/unarchive', { threadId: thread.id });
      await server.send('thread/resume', { threadId: thread.id });
    }
  });
  const back = await codexAnswers(home, ids);
  for (const [id, { turns }] of codex) expect(back.get(id)?.turns).toEqual(turns);
}

function readMetadata(answer: CodexAnswer | undefined) {
  return answer && { ...expected(answer), historyMode: answer.thread.historyMode };
}
