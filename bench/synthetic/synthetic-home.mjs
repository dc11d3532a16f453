// A synthetic home of many threads. Only files: real Codex builds its databases at its first start there.
import fs from 'node:fs';
import path from 'node:path';
import { writeConfig } from '../../test/interop/rig/with-codex.mjs';
import { Random, WORDS } from './random.mjs';
import { makeRollout, TextPool } from './synthetic-rollout.mjs';

const DAY = 86_400e3;
const MIN_ROLLOUT = 22_000;
const MAX_ROLLOUT = 6 * 1048576;
const NICKNAMES = [
  'Euclid',
  'Hypatia',
  'Noether',
  'Turing',
  'Gauss',
  'Curie',
  'Darwin',
  'Faraday',
  'Lovelace',
  'Kepler',
];
const VERSIONS = ['0.98.0', '0.104.0', '0.118.0', '0.131.0', '0.146.0', '0.158.0', '0.169.0'];

const SYNTHETIC_DEFAULTS = {
  threads: 1000,
  seed: 1,
  medianKb: 100,
  sigma: 1,
  bigShare: 0.005,
  bigMb: 5,
  paginated: 0.3,
  archived: 0.1,
  months: 12,
  end: '2026-11-20T18:00:00Z',
  folders: 40,
  provider: 'mock',
};

/**
 * Make the home. The same options give the same files, byte for byte.
 *
 * @param {string} home  an empty or missing folder
 * @param {Partial<typeof SYNTHETIC_DEFAULTS> & {trees?: number}} [options]
 *   threads: how many, sub-agents included. medianKb, sigma: sizes (log-normal). bigShare, bigMb: a few big ones.
 *   paginated: share of the time span, at its end, whose threads are paginated. archived: share of the roots.
 *   months, end: the time span. folders: how many working folders. trees: roots with ten sub-agents each.
 * @returns {object} the manifest: {options, stats, trees10, threads: [{id, parent, root, archived, mode, file, bytes,
 *   turns, at, source, cwd, title}]}; `file` is relative to the home
 */
export function makeSyntheticHome(home, options = {}) {
  const settings = { ...SYNTHETIC_DEFAULTS, ...definedOnly(options) };
  settings.trees ??= Math.min(20, Math.ceil(settings.threads / 50));
  return new HomeMaker(home, settings).make();
}

class HomeMaker {
  constructor(home, settings) {
    this.home = home;
    this.settings = settings;
    this.random = new Random(settings.seed);
    this.pool = new TextPool(this.random);
    this.folders = this.makeFolders();
    this.end = Date.parse(settings.end);
    this.start = this.end - settings.months * 30.4 * DAY;
    this.threads = [];
    this.trees10 = [];
    this.names = [];
  }

  make() {
    writeConfig(this.home, 9, { model: 'gpt-5.5' });
    while (this.threads.length < this.settings.threads) {
      this.addTree();
    }
    fs.writeFileSync(path.join(this.home, 'session_index.jsonl'), `${this.names.join('\n')}\n`);
    return { options: this.settings, stats: this.stats(), trees10: this.trees10, threads: this.threads };
  }

  makeFolders() {
    return Array.from({ length: this.settings.folders }, (_, index) => ({
      cwd: `/home/dev/projects/${this.random.word()}-${index}`,
      hasGit: index % 5 !== 4,
      remote: `https://github.com/example/${WORDS[index % WORDS.length]}-${index}.git`,
    }));
  }

  /** A root thread and its sub-agents, if any. */
  addTree() {
    const root = this.newRoot();
    this.addThread(root);
    const { count, isTree10 } = this.childCount(root);
    this.addChildren(root, count);
    if (isTree10 && count === 10) {
      this.trees10.push(root.id);
    }
  }

  newRoot() {
    const { random, settings } = this;
    const at = Math.floor(this.start + (this.end - this.start) * random.next() ** 0.8);
    const id = random.uuid(at);
    const folder = random.pick(this.folders);
    const source = this.pickSource();
    const archived = random.chance(settings.archived);
    const age = (at - this.start) / (this.end - this.start);
    const paginated = age > 1 - settings.paginated;
    const version = VERSIONS[Math.min(VERSIONS.length - 1, Math.floor(age * VERSIONS.length))];
    const { provider } = settings;
    return { id, root: id, at, folder, source, archived, paginated, version, provider, ...this.pickSize() };
  }

  pickSource() {
    const draw = this.random.next();
    if (draw < 0.55) {
      return { kind: 'cli', originator: 'codex_cli_rs' };
    }
    if (draw < 0.85) {
      return { kind: 'vscode', originator: 'codex_vscode' };
    }
    return { kind: 'exec', originator: 'codex_exec' };
  }

  pickSize() {
    const { bigShare, bigMb, medianKb, sigma } = this.settings;
    if (this.random.chance(bigShare)) {
      return { size: bigMb * 1048576 * (0.8 + 0.4 * this.random.next()), big: true };
    }
    const size = medianKb * 1024 * Math.exp(sigma * this.random.gaussian());
    return { size: Math.min(Math.max(MIN_ROLLOUT, size), MAX_ROLLOUT), big: false };
  }

  childCount(root) {
    const { threads, trees } = this.settings;
    const left = threads - this.threads.length;
    const wantTree10 = this.trees10.length < trees && !root.archived && left >= 10;
    const isTree10 = wantTree10 && this.random.chance(Math.max(0.1, (20 * trees) / threads));
    let count = 0;
    if (isTree10) {
      count = 10;
    } else if (this.random.chance(0.06)) {
      count = this.random.integer(1, 6);
    }
    return { count: Math.min(count, left), isTree10 };
  }

  addChildren(root, count) {
    const { random } = this;
    const nodes = [{ id: root.id, depth: 0 }];
    let at = root.at + 20_000;
    for (let made = 0; made < count; made += 1) {
      const parent = random.pick(nodes.filter((node) => node.depth < 3));
      at += random.integer(1000, 9000);
      const id = random.uuid(at);
      const depth = parent.depth + 1;
      const size = Math.max(MIN_ROLLOUT, root.size * 0.4 * random.next());
      const nickname = random.pick(NICKNAMES);
      const role = random.pick(['worker', 'explorer']);
      this.addThread({ ...root, id, parent: parent.id, depth, at, size, big: false, nickname, role });
      nodes.push({ id, depth });
    }
  }

  addThread(thread) {
    const rollout = makeRollout({ ...thread, titleSuffix: ` #${this.threads.length}` }, this.random, this.pool);
    const file = this.rolloutFile(thread);
    const absolute = path.join(this.home, file);
    fs.mkdirSync(path.dirname(absolute), { recursive: true });
    fs.writeFileSync(absolute, rollout.text);
    fs.utimesSync(absolute, rollout.endedAt / 1000, rollout.endedAt / 1000);
    if (!thread.parent && this.random.chance(0.15)) {
      this.addName(thread.id, rollout.endedAt);
    }
    this.threads.push({
      id: thread.id,
      parent: thread.parent || null,
      root: thread.root,
      archived: thread.archived,
      mode: thread.paginated ? 'paginated' : 'legacy',
      file,
      bytes: rollout.bytes,
      turns: rollout.turns,
      at: thread.at,
      source: thread.parent ? 'subagent' : thread.source.kind,
      cwd: thread.folder.cwd,
      title: rollout.title,
    });
  }

  rolloutFile({ id, at, archived }) {
    const date = new Date(at).toISOString();
    const name = `rollout-${date.slice(0, 19).replace(/:/g, '-')}-${id}.jsonl`;
    return archived
      ? path.join('archived_sessions', name)
      : path.join('sessions', ...date.slice(0, 10).split('-'), name);
  }

  addName(id, at) {
    this.names.push(JSON.stringify({ id, thread_name: this.random.words(3), updated_at: new Date(at).toISOString() }));
  }

  stats() {
    const sizes = this.threads.map((thread) => thread.bytes).sort((a, b) => a - b);
    const kilobytesAt = (share) =>
      Math.round(sizes[Math.min(sizes.length - 1, Math.floor(sizes.length * share))] / 1024);
    const count = (matches) => this.threads.filter(matches).length;
    const total = sizes.reduce((sum, size) => sum + size, 0);
    return {
      threads: this.threads.length,
      totalMB: Number((total / 1048576).toFixed(1)),
      medianKB: kilobytesAt(0.5),
      p90KB: kilobytesAt(0.9),
      p99KB: kilobytesAt(0.99),
      maxKB: kilobytesAt(1),
      subagents: count((thread) => thread.parent),
      archived: count((thread) => thread.archived),
      paginated: count((thread) => thread.mode === 'paginated'),
      named: this.names.length,
      trees10: this.trees10.length,
    };
  }
}

function definedOnly(options) {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
