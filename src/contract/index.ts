/**
 * The contract suites for whoever writes a store. They use vitest, which the program that runs them brings along. A
 * factory makes a store that holds the seeds and nothing else; `threadFromSeed` and `linesFromSeed` give their content.
 */

export { keptMetadataContract } from './kept-metadata-contract.js';
export type { StoreFactory } from './live-contract.js';
export { type ReaderFactory, threadReaderContract } from './reader-contract.js';
export { linesFromSeed, type Seed, threadFromSeed } from './seed.js';
export { threadStoreContract } from './store-contract.js';
