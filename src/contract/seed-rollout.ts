import type { ThreadId } from '../protocol/ids.js';

export type Line = Record<string, unknown>;

export interface RolloutSpec {
  readonly id?: ThreadId;
  readonly mode?: 'legacy' | 'paginated';
  /** ISO time of creation; also names the file. */
  readonly at?: string;
  readonly archived?: boolean;
  readonly compressed?: boolean;
  readonly rolloutId?: string;
  /** More or other keys of the session_meta. */
  readonly meta?: Line;
  /** Lines after the session_meta; ordinals are added where the mode needs them. */
  readonly lines?: readonly Line[];
  /** One turn each: what the user says and what the agent answers. Put after `lines`. */
  readonly turns?: readonly (readonly [string, string])[];
  readonly firstOrdinal?: number;
  /** Instead of all the above: the bytes of the file. */
  readonly raw?: string | Buffer;
}

let counter = 0;

/** A fresh UUID that sorts after the ones before. */
export function newId(): ThreadId {
  counter += 1;
  return `01a20000-0000-7000-8000-${counter.toString(16).padStart(12, '0')}` as ThreadId;
}

export function rolloutText(spec: RolloutSpec & { id: ThreadId; at: string }): string {
  const { id, at, mode = 'legacy', firstOrdinal = 0 } = spec;
  const meta = {
    id,
    session_id: id,
    timestamp: at,
    cwd: '/home/dev/project',
    originator: 'test',
    cli_version: '0.169.0',
    source: 'cli',
    model_provider: 'mock',
    history_mode: mode,
    ...spec.meta,
  };
  const lines: Line[] = [{ type: 'session_meta', payload: meta }, ...(spec.lines ?? [])];
  for (const [index, [user, agent]] of (spec.turns ?? []).entries()) {
    lines.push(...(mode === 'legacy' ? legacyTurn : paginatedTurn)(`turn-${index + 1}`, user, agent));
  }
  return lines
    .map((line, index) => {
      const ordinal = mode === 'paginated' ? { ordinal: firstOrdinal + index } : {};
      return `${JSON.stringify({ timestamp: at, ...ordinal, ...line })}\n`;
    })
    .join('');
}

export const event = (payload: Line): Line => ({ type: 'event_msg', payload });

export function legacyTurn(turnId: string, user: string, agent: string): Line[] {
  return [
    event({ type: 'task_started', turn_id: turnId, started_at: 1_795_000_000 }),
    event({ type: 'user_message', message: user }),
    event({ type: 'agent_message', message: agent, phase: 'final_answer' }),
    event({ type: 'task_complete', turn_id: turnId, completed_at: 1_795_000_002, duration_ms: 2000 }),
  ];
}

export function paginatedTurn(turnId: string, user: string, agent: string): Line[] {
  const item = (value: Line) => event({ type: 'item_completed', turn_id: turnId, item: value });
  return [
    event({ type: 'task_started', turn_id: turnId, started_at: 1_795_000_000 }),
    item({ type: 'UserMessage', id: `${turnId}-user`, content: [{ type: 'text', text: user }] }),
    item({
      type: 'AgentMessage',
      id: `${turnId}-agent`,
      content: [{ type: 'Text', text: agent }],
      phase: 'final_answer',
    }),
    event({ type: 'task_complete', turn_id: turnId, completed_at: 1_795_000_002, duration_ms: 2000 }),
  ];
}

/** The meta keys of a thread that another one spawned. */
export function spawnedBy(parent: string, depth = 1): Line {
  const spawn = { parent_thread_id: parent, depth, agent_path: null, agent_nickname: 'Euclid', agent_role: 'worker' };
  return {
    parent_thread_id: parent,
    source: { subagent: { thread_spawn: spawn } },
    agent_nickname: 'Euclid',
    agent_role: 'worker',
  };
}
