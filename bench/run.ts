// Times the tools beside the real app-server of Codex, both on the same generated home, in one run.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { AppServer, CODEX_VERSION, installCodex } from '../test/interop/rig/with-codex.mjs';
import { codexBackfill, type Filling, ourBackfill } from './backfill.js';
import { chart } from './chart.js';
import { benchAppend, benchResume, liveReport } from './live.js';
import { measure, type Row, table } from './measure.js';
import { operations } from './operations.js';
import { OurProcess } from './our-client.js';
import { benchPostgres, postgresReport } from './postgres.js';
import { makeSyntheticHome } from './synthetic/synthetic-home.mjs';

const RESULTS = path.join(path.dirname(fileURLToPath(import.meta.url)), 'results');

const { values: flags } = parseArgs({
  options: {
    threads: { type: 'string', default: '1000,10000' },
    calls: { type: 'string', default: '100' },
    only: { type: 'string' },
    live: { type: 'boolean' },
    postgres: { type: 'string' },
    help: { type: 'boolean' },
  },
});

if (flags.help) {
  console.log(`Usage: npm run bench -- [--threads 1000,10000] [--calls 100] [--only REGEXP] [--live] [--postgres 1000000]
Generates a home of so many threads, lets Codex ${CODEX_VERSION} index it, then times each operation on Codex's app-server
and on threadkeeper in turns, and checks the answers; then appends and the loading of a large thread (--live: these alone).
--postgres times the tools on a PostgreSQL with so many threads, and nothing else.
Writes a table, JSON and an SVG chart to bench/results/.`);
} else if (flags.postgres) {
  const result = await benchPostgres(Number(flags.postgres), Number(flags.calls), note);
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(path.join(RESULTS, 'bench-postgres.json'), `${JSON.stringify(result, null, 2)}\n`);
  writeFileSync(path.join(RESULTS, 'bench-postgres.md'), postgresReport(result));
  console.log(`\n${postgresReport(result)}`);
} else {
  const reports: string[] = [];
  if (!flags.live) for (const count of flags.threads.split(',').map(Number)) reports.push(await benchHome(count));
  if (!flags.only) reports.push(await benchLive());
  writeFileSync(path.join(RESULTS, 'bench.md'), `${reports.join('\n')}\n`);
  console.log(`\nTables, JSON and charts are in bench/results/.`);
}

async function benchHome(count: number): Promise<string> {
  installCodex();
  const directory = mkdtempSync(path.join(os.tmpdir(), 'threadkeeper-bench-'));
  const home = path.join(directory, 'codex-home');
  try {
    note(`making a home of ${count} threads`);
    const manifest = makeSyntheticHome(home, { threads: count, trees: 20 });
    const names = namesIn(home);
    note('backfill');
    // Ours first and last: whoever comes first reads the files from the disk, later ones from memory.
    const cold = await ourBackfill(home);
    const codexFilling = await codexBackfill(home, count);
    const warm = await ourBackfill(home);
    const filling = { codex: codexFilling, ours: warm, oursFirst: cold };
    const codex = new AppServer(home);
    await codex.init();
    const ours = new OurProcess(home);
    const started = performance.now();
    await ours.init();
    const initMs = { codex: codex.initMs ?? 0, ours: performance.now() - started };
    const rows: Row[] = [];
    const only = new RegExp(flags.only ?? '');
    for (const operation of operations({ codex, ours, manifest, names }, Number(flags.calls)).filter(({ name }) =>
      only.test(name),
    )) {
      note(operation.name);
      const row = await measure(operation);
      if (row.firstProblem) note(`  ${row.firstProblem}`);
      rows.push(row);
    }
    const memory = { codex: codex.memory(), ours: ours.memory() };
    await codex.stop();
    await ours.stop();
    return report(count, { stats: manifest.stats, filling, initMs, memory, rows });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function benchLive(): Promise<string> {
  installCodex();
  note('append to live threads');
  const rates = await benchAppend();
  note('load a large thread');
  const resume = await benchResume();
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(path.join(RESULTS, 'bench-live.json'), `${JSON.stringify({ rates, resume }, null, 2)}\n`);
  const text = liveReport(rates, resume);
  console.log(`\n${text}`);
  return text;
}

function namesIn(home: string): Map<string, string> {
  const lines = readFileSync(path.join(home, 'session_index.jsonl'), 'utf8').split('\n');
  const entries = lines
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { id: string; thread_name: string });
  return new Map(entries.map((entry) => [entry.id, entry.thread_name]));
}

interface Result {
  readonly stats: object;
  readonly filling: { codex: Filling; ours: Filling; oursFirst: Filling };
  readonly initMs: { codex: number; ours: number };
  readonly memory: { codex: { peakMB: number } | null; ours: { peakMB: number } };
  readonly rows: readonly Row[];
}

function report(count: number, result: Result): string {
  mkdirSync(RESULTS, { recursive: true });
  const at = new Date().toISOString();
  const machine = { node: process.version, cpus: os.cpus().length, codex: CODEX_VERSION };
  writeFileSync(path.join(RESULTS, `bench-${count}.json`), `${JSON.stringify({ at, machine, ...result }, null, 2)}\n`);
  writeFileSync(path.join(RESULTS, `bench-${count}.svg`), chart(`${count} threads: median time by call`, result.rows));
  const { filling, initMs, memory, rows } = result;
  const text = `${table(`${count} threads`, rows)}
Backfill of ${filling.codex.rows} threads: Codex ${describe(filling.codex)}, ours ${describe(filling.ours)} for ${filling.ours.rows} (${describe(
    filling.oursFirst,
  )} with nothing in memory yet): ${(filling.codex.seconds / filling.ours.seconds).toFixed(1)}×.
Start to first answer: Codex ${initMs.codex.toFixed(0)} ms, ours ${initMs.ours.toFixed(0)} ms. Peak memory: Codex ${
    memory.codex?.peakMB.toFixed(0) ?? '?'
  } MB, ours ${memory.ours.peakMB.toFixed(0)} MB. Node ${machine.node}, ${machine.cpus} cores, Codex ${machine.codex}.
`;
  console.log(`\n${text}`);
  return text;
}

function describe({ seconds, peakMB }: Filling): string {
  return `${seconds.toFixed(1)} s, peak ${peakMB.toFixed(0)} MB`;
}

function note(message: string): void {
  console.error(`  ${message}`);
}
