import { bareCwd, bareMessage } from './bare-line.js';
import { asNumber, asObject, asString, asText, type JsonObject, jsonText } from './json.js';
import { parseUserText, type UserText } from './user-text.js';

/**
 * The thread metadata that one line (other than a session_meta) holds. An absent fact is not in the line
 * (docs/codex-home.md, From lines to metadata).
 */
export interface LineFacts {
  /** The working directory from this line on. */
  readonly cwd?: string | undefined;
  /** The working directory, unless an earlier line has set it. */
  readonly firstCwd?: string | undefined;
  readonly model?: string | undefined;
  readonly modelProvider?: string | undefined;
  readonly reasoningEffort?: string | undefined;
  readonly approvalMode?: string | undefined;
  /** JSON text. */
  readonly permissionProfile?: string | undefined;
  readonly tokensUsed?: number | undefined;
  /** The preview, while no message has made one. */
  readonly goal?: string | undefined;
  readonly userText?: UserText | undefined;
  /** True when the line begins a turn. Only such a line advances the recency time. */
  readonly startsTurn?: boolean | undefined;
}

const NOTHING: LineFacts = {};

interface FactLine {
  readonly type: string;
  readonly payload: JsonObject;
  readonly isBare?: boolean | undefined;
}

export function readLineFacts({ type, payload, isBare }: FactLine): LineFacts {
  if (isBare) return bareLineFacts(payload);
  if (type === 'turn_context') return turnContextFacts(payload);
  return type === 'event_msg' ? eventFacts(payload) : NOTHING;
}

function bareLineFacts(item: JsonObject): LineFacts {
  const firstCwd = bareCwd(item);
  if (firstCwd !== undefined) return { firstCwd };
  const message = bareMessage(item);
  return message?.role === 'user' ? { userText: { text: message.text.trim(), isLabel: false } } : NOTHING;
}

function turnContextFacts(context: JsonObject): LineFacts {
  return {
    firstCwd: asText(context['cwd']),
    model: asText(context['model']),
    reasoningEffort: asText(context['effort']),
    ...policies(context),
  };
}

function eventFacts(event: JsonObject): LineFacts {
  switch (event['type']) {
    case 'thread_settings_applied':
      return settingsFacts(asObject(event['thread_settings']) ?? {});
    case 'token_count': {
      const usage = asObject(asObject(event['info'])?.['total_token_usage']);
      const total = asNumber(usage?.['total_tokens']);
      return total === undefined ? NOTHING : { tokensUsed: Math.max(0, total) };
    }
    case 'thread_goal_updated':
      return { goal: asString(asObject(event['goal'])?.['objective'])?.trim() || undefined };
    case 'task_started':
    case 'turn_started':
      return { startsTurn: true };
    default: {
      const userText = parseUserText(event);
      return userText ? { userText } : NOTHING;
    }
  }
}

function settingsFacts(settings: JsonObject): LineFacts {
  return {
    cwd: asText(settings['cwd']),
    model: asText(settings['model']),
    modelProvider: asText(settings['model_provider_id']),
    reasoningEffort: asText(settings['reasoning_effort']),
    ...policies(settings),
  };
}

function policies(settings: JsonObject): Pick<LineFacts, 'approvalMode' | 'permissionProfile'> {
  const profile = asObject(settings['permission_profile']) ?? asObject(settings['sandbox_policy']);
  return {
    approvalMode: asText(settings['approval_policy']),
    permissionProfile: profile && jsonText(profile),
  };
}
