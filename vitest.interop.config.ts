import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/interop/**/*.test.ts'],
    globalSetup: ['test/interop/setup.ts', 'test/support/postgres-server.ts'],
    testTimeout: 120_000,
    hookTimeout: 180_000,
    maxWorkers: 2,
    reporters: process.env['VITEST_REPORT'] ? ['default', 'json'] : ['default'],
    outputFile: { json: process.env['VITEST_REPORT'] ?? '' },
  },
});
