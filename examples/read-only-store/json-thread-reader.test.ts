// Runs the contract suite of readers on the store beside this file.
// Usage: npx vitest run examples/read-only-store
import { linesFromSeed, threadFromSeed, threadReaderContract } from 'threadkeeper/contract';
import { JsonThreadReader } from './json-thread-reader.ts';

threadReaderContract('JsonThreadReader', async (seeds) => {
  return new JsonThreadReader(seeds.map((seed) => ({ thread: threadFromSeed(seed), history: linesFromSeed(seed) })));
});
