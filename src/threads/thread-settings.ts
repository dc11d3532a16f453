import { eventItem, type RolloutItem } from '../protocol/rollout-item.js';
import type { CreateThreadParams } from '../store/thread-store.js';

/** Codex's defaults for a thread without settings: it may only read, and asks before it acts. */
const READ_ONLY = {
  type: 'managed',
  file_system: {
    type: 'restricted',
    entries: [{ path: { type: 'special', value: { kind: 'root' } }, access: 'read' }],
  },
  network: 'restricted',
};

/**
 * The line that tells a thread's model and provider: Codex takes them from it when it builds a row anew. Without the other
 * keys Codex 0.169 drops the line (tested). They repeat Codex's defaults for a thread without this line.
 */
export function threadSettings({ threadId, metadata }: Omit<CreateThreadParams, 'historyMode'>): RolloutItem {
  const { cwd, model, modelProvider } = metadata;
  return eventItem({
    type: 'thread_settings_applied',
    thread_id: threadId,
    thread_settings: {
      model,
      model_provider_id: modelProvider,
      approval_policy: 'on-request',
      approvals_reviewer: 'user',
      permission_profile: READ_ONLY,
      cwd,
      runtime_workspace_roots: [cwd],
      collaboration_mode: {
        mode: 'default',
        settings: { model, reasoning_effort: null, developer_instructions: null },
      },
    },
  });
}
