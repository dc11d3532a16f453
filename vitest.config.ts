import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/interop/**', 'test/system/**'],
    globalSetup: ['test/support/postgres-server.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Two cores: more workers only make each other slow.
    maxWorkers: 2,
    reporters: process.env['VITEST_REPORT'] ? ['default', 'json'] : ['default'],
    outputFile: { json: process.env['VITEST_REPORT'] ?? '' },
  },
});
