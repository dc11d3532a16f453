import type { HistoryMode } from '../protocol/history-mode.js';
import type { ThreadId } from '../protocol/ids.js';
import { type JsonObject, strictJson } from '../protocol/json.js';
import { eventItem, type RolloutItem, responseItem } from '../protocol/rollout-item.js';

/** What an agent tells of its conversation. */
export type ConversationItem =
  | { readonly type: 'userMessage' | 'agentMessage'; readonly text: string }
  | {
      readonly type: 'toolCall';
      readonly tool: string;
      readonly arguments: JsonObject;
      readonly output: string;
      readonly status: 'completed' | 'failed';
    };

/** A turn that has begun and has not ended. */
export interface OpenTurn {
  readonly turnId: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** What the agent said last in it. */
  readonly lastAgentMessage: string | undefined;
}

export interface TurnWriterOptions {
  readonly threadId: ThreadId;
  readonly mode: HistoryMode;
  readonly newId: () => string;
  /** The turn to continue, if the thread ends in an open one. */
  readonly openTurn?: OpenTurn | undefined;
}

/** The name under which tool calls of an agent that is not Codex are kept: the format asks for an MCP server's. */
const TOOL_SERVER = 'external';

/**
 * Rollout items from conversation items, such that this program and Codex read the same turns from them, and Codex can
 * continue from there: the event or item that a reader sees, and the response items that a model is given
 * (docs/codex-home.md, Turns of our own). Pure except for the ids.
 */
export class TurnWriter {
  readonly #options: TurnWriterOptions;
  #openTurn: OpenTurn | undefined;

  constructor(options: TurnWriterOptions) {
    this.#options = options;
    this.#openTurn = options.openTurn;
  }

  get openTurn(): OpenTurn | undefined {
    return this.#openTurn;
  }

  /** Items of a conversation: a user message ends the open turn and begins one; others begin one if none is open. */
  items(conversation: readonly ConversationItem[], now: number): RolloutItem[] {
    return conversation.flatMap((item) => {
      const before = item.type === 'userMessage' || !this.#openTurn ? [...this.end(now), this.#start(now)] : [];
      return [...before, ...this.#itemsOf(item, now)];
    });
  }

  /** Ends the open turn, if there is one. */
  end(now: number): RolloutItem[] {
    const turn = this.#openTurn;
    this.#openTurn = undefined;
    if (!turn) return [];
    return [
      eventItem({
        type: 'task_complete',
        turn_id: turn.turnId,
        last_agent_message: turn.lastAgentMessage ?? null,
        started_at: seconds(turn.startedAt),
        completed_at: seconds(now),
        duration_ms: Math.max(0, now - turn.startedAt),
      }),
    ];
  }

  /** Ends the open turn as interrupted, and says so to the model that continues. */
  interrupt(reason: string): RolloutItem[] {
    const turn = this.#openTurn;
    this.#openTurn = undefined;
    if (!turn) return [];
    const { turnId, startedAt } = turn;
    return [
      message('user', `<turn_aborted>\n${reason}\n</turn_aborted>`, this.#options.newId()),
      eventItem({ type: 'turn_aborted', turn_id: turnId, reason: 'interrupted', started_at: seconds(startedAt) }),
    ];
  }

  #start(now: number): RolloutItem {
    const turnId = this.#options.newId();
    this.#openTurn = { turnId, startedAt: now, lastAgentMessage: undefined };
    return eventItem({
      type: 'task_started',
      turn_id: turnId,
      started_at: seconds(now),
      model_context_window: null,
      collaboration_mode_kind: 'default',
    });
  }

  #itemsOf(item: ConversationItem, now: number): RolloutItem[] {
    const id = this.#options.newId();
    switch (item.type) {
      case 'userMessage':
        return [message('user', item.text, id), this.#userMessage(item.text, id, now)];
      case 'agentMessage':
        if (this.#openTurn) this.#openTurn = { ...this.#openTurn, lastAgentMessage: item.text };
        return [this.#agentMessage(item.text, id, now), message('assistant', item.text, id)];
      default:
        return this.#toolCall(item, id, now);
    }
  }

  #userMessage(text: string, id: string, now: number): RolloutItem {
    if (this.#options.mode === 'paginated') {
      return this.#completed({ type: 'UserMessage', id, content: [{ type: 'text', text, text_elements: [] }] }, now);
    }
    return eventItem({ type: 'user_message', message: text, images: [], local_images: [], text_elements: [] });
  }

  #agentMessage(text: string, id: string, now: number): RolloutItem {
    if (this.#options.mode === 'paginated') {
      return this.#completed({ type: 'AgentMessage', id: `msg_${id}`, content: [{ type: 'Text', text }] }, now);
    }
    return eventItem({ type: 'agent_message', message: text });
  }

  #toolCall(item: ConversationItem & { readonly type: 'toolCall' }, id: string, now: number): RolloutItem[] {
    const { tool, arguments: args, output, status } = item;
    const callId = `call_${id}`;
    return [
      responseItem({ type: 'function_call', name: tool, arguments: strictJson(args), call_id: callId }),
      responseItem({ type: 'function_call_output', call_id: callId, output }),
      this.#toolResult(callId, { tool, args, output, isFailed: status === 'failed' }, now),
    ];
  }

  #toolResult(
    callId: string,
    { tool, args, output, isFailed }: { tool: string; args: JsonObject; output: string; isFailed: boolean },
    now: number,
  ): RolloutItem {
    const result = { content: [{ type: 'text', text: output }] };
    if (this.#options.mode === 'paginated') {
      const outcome = isFailed ? { status: 'failed', error: { message: output } } : { status: 'completed', result };
      const item = { type: 'McpToolCall', id: callId, server: TOOL_SERVER, tool, arguments: args, ...outcome };
      return this.#completed(item, now);
    }
    return eventItem({
      type: 'mcp_tool_call_end',
      call_id: callId,
      invocation: { server: TOOL_SERVER, tool, arguments: args },
      duration: { secs: 0, nanos: 0 },
      result: isFailed ? { Err: output } : { Ok: result },
    });
  }

  #completed(item: JsonObject, now: number): RolloutItem {
    return eventItem({
      type: 'item_completed',
      thread_id: this.#options.threadId,
      turn_id: this.#openTurn?.turnId,
      item,
      started_at_ms: now,
      completed_at_ms: now,
    });
  }
}

function message(role: 'user' | 'assistant', text: string, id: string): RolloutItem {
  const type = role === 'user' ? 'input_text' : 'output_text';
  return responseItem({ type: 'message', id: `msg_${id}`, role, content: [{ type, text }] });
}

/** Codex writes the times of turns in whole seconds. */
function seconds(time: number): number {
  return Math.floor(time / 1000);
}
