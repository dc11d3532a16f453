// Lists the threads of a directory that nobody has named, and archives them when the last argument is --yes.
// Usage: node examples/list-and-archive.ts <home> <directory> [--yes]
import { openHome, ThreadkeeperError } from 'threadkeeper';

const [home, directory, consent] = process.argv.slice(2);
if (home === undefined || directory === undefined) throw new Error('give a home and a directory');
const { manager, close } = await openHome({ home, warn: console.error });
try {
  const page = await manager.listThreads({
    filter: { archived: 'exclude', cwds: [directory] },
    sortBy: 'updatedAt',
    order: 'desc',
    limit: 50,
  });
  for (const { thread } of page.threads.filter(({ thread }) => thread.name === undefined)) {
    console.log(`${thread.threadId} ${thread.preview.slice(0, 60)}`);
    try {
      const { moved, failed } = await manager.archiveThread(thread.threadId, {
        includeDescendants: true,
        dryRun: consent !== '--yes',
      });
      console.log(`  ${consent === '--yes' ? 'archived' : 'would archive'}: ${moved.length}, failed: ${failed.length}`);
    } catch (error) {
      if (!(error instanceof ThreadkeeperError)) throw error;
      console.log(`  ${error.code}: ${error.message}. ${error.hint}`);
    }
  }
  for (const warning of page.warnings) console.error(warning);
} finally {
  await close();
}
