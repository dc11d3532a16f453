import { defineConfig } from 'vitest/config';

// Conditions that only root can make: a file system of its own size, one without shared memory (bindfs).
export default defineConfig({
  test: {
    include: ['test/system/**/*.test.ts'],
    testTimeout: 60_000,
    maxWorkers: 2,
    reporters: process.env['VITEST_REPORT'] ? ['default', 'json'] : ['default'],
    outputFile: { json: process.env['VITEST_REPORT'] ?? '' },
  },
});
