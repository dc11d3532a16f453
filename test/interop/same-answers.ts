import path from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'vitest';
import type { ThreadView } from '../../src/mcp/results/thread-view.js';
import type { ItemView, TurnView } from '../../src/mcp/results/turn-view.js';
import type { OurServer } from '../support/mcp-client.js';
import { type CodexAnswer, type CodexItem, type CodexTurn, sourceKind } from './codex-answers.js';

export const ALL_SOURCES = ['cli', 'vscode', 'exec', 'mcp', 'subagent', 'custom', 'internal', 'unknown'];

export function edgesOf(home: string): { parent: string; child: string }[] {
  const db = new Database(path.join(home, 'state_5.sqlite'), { readonly: true });
  const rows = db
    .prepare('SELECT parent_thread_id AS parent, child_thread_id AS child FROM thread_spawn_edges ORDER BY 2')
    .all();
  db.close();
  return rows as { parent: string; child: string }[];
}

export async function expectSameEdges(
  server: OurServer,
  edges: readonly { parent: string; child: string }[],
): Promise<void> {
  for (const parent of new Set(edges.map((edge) => edge.parent))) {
    const children = await server.listAll({ parentThreadId: parent, archived: 'include' });
    const wanted = edges.filter((edge) => edge.parent === parent).map(({ child }) => child);
    expect(children.map(({ threadId }) => threadId).sort()).toEqual(wanted.sort());
  }
}

export function byId(threads: readonly ThreadView[]): Map<string, ThreadView> {
  return new Map(threads.map((thread) => [thread.threadId, thread]));
}

/** What both programs say of a thread. Codex gives times in seconds. */
export function comparable(view: ThreadView, { thread, updatedAt }: CodexAnswer) {
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
    recencyAt: sameSecond(view.recencyAt, thread.recencyAt ?? thread.updatedAt),
    modelProvider: view.modelProvider,
    model: view.model ?? null,
    agentNickname: view.agent?.nickname ?? null,
    agentRole: view.agent?.role ?? null,
    parentThreadId: view.parentThreadId ?? null,
    forkedFromId: view.forkedFromThreadId ?? null,
    isArchived: view.archived === true,
  };
}

/**
 * Codex makes the times of rows unique: of threads with the same time, each gets a millisecond more than the one before.
 * That can carry a row into the next second.
 */
const MOST_THREADS_AT_ONE_TIME = 10;

function sameSecond(time: string, codex: number): number {
  const at = Date.parse(time);
  const second = Math.floor(at / 1000);
  const isSame = Math.floor((at - 1) / 1000) <= codex && codex <= Math.floor((at + MOST_THREADS_AT_ONE_TIME) / 1000);
  return isSame ? codex : second;
}

export function expected({ thread, isArchived }: CodexAnswer): ReturnType<typeof comparable> {
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
export function durable({
  git: _,
  updatedAt: __,
  recencyAt: ___,
  createdAt: ____,
  ...rest
}: ReturnType<typeof comparable>) {
  return rest;
}

export async function expectSameTurns(server: OurServer, { thread, turns }: CodexAnswer): Promise<void> {
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
