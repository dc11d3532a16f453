// The layers of the house (docs/architecture.md). A folder may import from those named for it, never from one above.
// `cli` and `app` are at the top; `protocol` imports nothing of ours.
const LAYERS = {
  protocol: [],
  transcript: ['protocol'],
  store: ['protocol', 'transcript'],
  'stores/local/state-db': ['protocol', 'store'],
  'stores/local/rollout': ['protocol', 'store'],
  'stores/local': ['protocol', 'transcript', 'store'],
  'stores/postgres/db': ['protocol', 'store'],
  'stores/postgres': ['protocol', 'transcript', 'store'],
  'stores/memory': ['protocol', 'transcript', 'store'],
  threads: ['protocol', 'transcript', 'store'],
  contract: ['protocol', 'transcript', 'store'],
  transfer: ['protocol', 'store'],
  mcp: ['protocol', 'transcript', 'store', 'threads'],
  app: ['protocol', 'store', 'stores', 'threads'],
  cli: ['protocol', 'store', 'threads', 'transfer', 'mcp', 'app', 'stores/local/doctor', 'transcript'],
};

const alternatives = (names) => `^src/(${names.join('|')})/`;

/** Files at the root of src that every layer may import. */
const SHARED = '^src/version\\.ts$';

export default {
  forbidden: [
    ...Object.entries(LAYERS).map(([layer, below]) => ({
      name: `layer-${layer}`,
      comment: `${layer}/ may import only ${below.join(', ') || 'nothing of ours'}`,
      severity: 'error',
      from: { path: `^src/${layer}/` },
      to: { path: '^src/', pathNot: [alternatives([layer, ...below]), SHARED] },
    })),
    {
      name: 'every-file-has-a-layer',
      comment: 'A file of src lies in a layer, or is main.ts, index.ts or version.ts',
      severity: 'error',
      from: { path: '^src/', pathNot: [alternatives(Object.keys(LAYERS)), '^src/(main|index|version)\\.ts$'] },
      to: {},
    },
    {
      name: 'sdk-in-mcp-only',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/mcp/' },
      to: { path: 'node_modules/@modelcontextprotocol/' },
    },
    {
      name: 'sqlite-in-state-db-only',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/stores/local/state-db/' },
      to: { path: 'node_modules/better-sqlite3/' },
    },
    {
      name: 'pg-in-postgres-db-only',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/stores/postgres/db/' },
      to: { path: 'node_modules/pg' },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-missing', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
