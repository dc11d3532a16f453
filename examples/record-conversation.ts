// Records a conversation of another agent, so that Codex can list, read and continue it.
// Usage: node examples/record-conversation.ts [home]
import { openHome } from 'threadkeeper';

const { manager, close } = await openHome({ home: process.argv[2], warn: console.error });
try {
  const { thread } = await manager.startThread({
    cwd: process.cwd(),
    name: 'A recorded conversation',
    model: 'my-model',
    message: 'How many planets are there?',
  });
  await thread.submit(
    [
      {
        type: 'toolCall',
        tool: 'encyclopedia',
        arguments: { query: 'planets' },
        output: 'Mercury … Neptune',
        status: 'completed',
      },
      { type: 'agentMessage', text: 'Eight.' },
    ],
    { endTurn: true },
  );
  await manager.closeThread(thread.threadId);
  console.log(`recorded ${thread.threadId}`);
} finally {
  await close();
}
