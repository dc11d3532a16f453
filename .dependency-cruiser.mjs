// The floors of the house (docs/architecture.md): an import goes down, never up, never sideways past what is drawn there.
const FLOORS = {
  protocol: [],
  state: ['protocol'],
  rollout: ['protocol'],
  postgres: ['protocol'],
  transcript: ['protocol'],
  'agent-graph': ['protocol', 'state', 'rollout', 'postgres'],
  'thread-store': ['protocol', 'state', 'rollout', 'postgres', 'transcript'],
  transfer: ['protocol', 'rollout', 'thread-store', 'agent-graph'],
  threads: ['protocol', 'transcript', 'thread-store', 'agent-graph'],
  mcp: ['protocol', 'transcript', 'thread-store', 'threads'],
};

const alternatives = (names) => `^src/(${names.join('|')})/`;

export default {
  forbidden: [
    ...Object.entries(FLOORS).map(([floor, below]) => ({
      name: `floor-${floor}`,
      comment: `${floor}/ may import only ${below.join(', ') || 'nothing of ours'}`,
      severity: 'error',
      from: { path: `^src/${floor}/` },
      to: { path: '^src/', pathNot: alternatives([floor, ...below]) },
    })),
    {
      name: 'sdk-in-mcp-only',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/mcp/' },
      to: { path: 'node_modules/@modelcontextprotocol/' },
    },
    {
      name: 'sqlite-in-state-only',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/state/' },
      to: { path: 'node_modules/better-sqlite3/' },
    },
    {
      name: 'pg-in-postgres-only',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/postgres/' },
      to: { path: 'node_modules/pg' },
    },
    {
      name: 'boundaries-above-their-implementations',
      comment: 'Only bootstrap*.ts chooses a store or a graph: everyone else sees the interface',
      severity: 'error',
      from: { path: '^src/(threads|mcp)/' },
      to: { path: '^src/(thread-store/(local|memory|postgres)|agent-graph/(memory|rollout|sqlite|postgres))' },
    },
    {
      name: 'state-db-opened-by-bootstrap-only',
      comment: 'bootstrap-home.ts, own-db.ts and codexs-db.ts put the parts over a home together',
      severity: 'error',
      from: {
        path: '^src/',
        pathNot: '^src/((bootstrap-home|own-db|codexs-db)\\.ts|state/|agent-graph/|thread-store/local/)',
      },
      to: { path: '^src/state/' },
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
