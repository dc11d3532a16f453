import { describe, expect, it } from 'vitest';
import { eventItem, keptItems, type RolloutItem, responseItem } from '../../src/protocol/rollout-item.js';

const completed = (item: object): RolloutItem => eventItem({ type: 'item_completed', turn_id: 't', item });

const types = (items: readonly RolloutItem[]) => items.map(({ type, payload }) => payload['type'] ?? type);

describe('what is kept of appended items', () => {
  const always = [
    { type: 'session_meta', payload: { id: 'x' } },
    { type: 'turn_context', payload: {} },
    { type: 'compacted', payload: {} },
    responseItem({ type: 'message' }),
    eventItem({ type: 'task_started' }),
    eventItem({ type: 'task_complete' }),
    eventItem({ type: 'turn_aborted' }),
    eventItem({ type: 'token_count' }),
    eventItem({ type: 'thread_goal_updated' }),
    eventItem({ type: 'thread_settings_applied' }),
  ];
  const never = [
    responseItem({ type: 'compaction_trigger' }),
    responseItem({ type: 'other' }),
    responseItem({ text: 'no type' }),
    eventItem({ type: 'agent_message_delta' }),
    eventItem({ type: 'warning' }),
    eventItem({ type: 'exec_command_begin' }),
    { type: 'never_heard_of', payload: {} },
  ];

  it.each(['legacy', 'paginated'] as const)('is history in %s threads, and nothing that passes', (mode) => {
    expect(keptItems(always, mode)).toEqual(always);
    expect(keptItems(never, mode)).toEqual([]);
  });

  it('is events in legacy threads, and items in paginated ones', () => {
    const items = [
      eventItem({ type: 'user_message' }),
      eventItem({ type: 'mcp_tool_call_end' }),
      completed({ type: 'CommandExecution' }),
      completed({ type: 'Plan' }),
      completed({ type: 'SubAgentActivity', kind: 'completed' }),
      completed({ type: 'SubAgentActivity', kind: 'started' }),
      { type: 'realtime_item', payload: {} },
    ];
    expect(types(keptItems(items, 'legacy'))).toEqual([
      'user_message',
      'mcp_tool_call_end',
      'item_completed',
      'item_completed',
    ]);
    expect(types(keptItems(items, 'paginated'))).toEqual([...Array(4).fill('item_completed'), 'realtime_item']);
  });

  it('is at most 64 KiB of an output, without its middle', () => {
    const output = `begin${'ö'.repeat(100_000)}end`;
    const [item] = keptItems(
      [completed({ type: 'CommandExecution', id: 'c', aggregated_output: output })],
      'paginated',
    );
    const { aggregated_output: kept } = Object(item?.payload['item']) as { aggregated_output: string };
    expect(Buffer.byteLength(kept)).toBeLessThanOrEqual(64 * 1024);
    expect(kept).toMatch(/^begin/);
    expect(kept).toMatch(/end$/);
    expect(kept).toContain(`${200_008 - 64 * 1024} bytes left out`);
    expect(kept).not.toContain('\uFFFD');
  });

  it('is cut in the texts of an MCP result too, and not in those of messages', () => {
    const long = 'x'.repeat(100_000);
    const [result, message] = keptItems(
      [
        completed({ type: 'McpToolCall', result: { content: [{ type: 'text', text: long }, { data: 1 }] } }),
        completed({ type: 'AgentMessage', content: [{ type: 'Text', text: long }] }),
      ],
      'paginated',
    );
    expect(JSON.stringify(result).length).toBeLessThan(70_000);
    expect(JSON.stringify(message).length).toBeGreaterThan(100_000);
  });
});
