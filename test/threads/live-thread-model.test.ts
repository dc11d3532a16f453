import { closeSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { newThreadParams } from '../../src/contract/live-contract.js';
import { ThreadkeeperError } from '../../src/protocol/errors.js';
import type { ThreadId } from '../../src/protocol/ids.js';
import { eventItem } from '../../src/protocol/rollout-item.js';
import { LocalThreadStore } from '../../src/stores/local/local-thread-store.js';
import { RolloutHome } from '../../src/stores/local/rollout/rollout-home.js';
import { RolloutLibrary } from '../../src/stores/local/rollout/rollout-library.js';
import { StateDbHandle } from '../../src/stores/local/state-db/state-db-handle.js';
import { LiveThread } from '../../src/threads/live-thread.js';
import { descriptorsOf } from '../support/descriptors.js';
import { onlySqliteHome, openStateDb } from '../support/state-db.js';
import { makeStateDb } from '../support/test-home.js';

/** What must be true of the thread: told item by item, whatever happens in between. */
interface Model {
  /** Acknowledged, in order. */
  readonly said: number[];
  /** Taken and not acknowledged: written once when the disk is there again, or lost by a kill. */
  waiting: number[];
  name: string | undefined;
  branch: string | undefined;
  isBroken: boolean;
}

/** A thread, the program that has it open, and the disk. */
class Real {
  readonly home = mkdtempSync(path.join(os.tmpdir(), 'threadkeeper-model-'));
  readonly threadId: ThreadId;
  readonly #mode: 'legacy' | 'paginated';
  #store: LocalThreadStore | undefined;
  #closeDb = () => {};
  live: LiveThread | undefined;

  constructor(mode: 'legacy' | 'paginated', hasDb: boolean) {
    this.#mode = mode;
    this.threadId = newThreadParams().threadId;
    mkdirSync(path.join(this.home, 'sessions'));
    if (hasDb) makeStateDb(this.home).close();
  }

  async start(): Promise<void> {
    const { stateDb } = await openStateDb({ homes: onlySqliteHome(this.home), readOnly: false, indexUse: 'never' });
    this.#closeDb = () => stateDb?.close();
    const library = new RolloutLibrary(new RolloutHome(this.home));
    this.#store = new LocalThreadStore({
      library,
      stateDb: new StateDbHandle(stateDb),
      isReadOnly: false,
      warn: () => {},
    });
  }

  async load(isNew: boolean): Promise<LiveThread> {
    const { threadId } = this;
    if (isNew) {
      const params = newThreadParams({ threadId, sessionId: threadId, historyMode: this.#mode });
      this.live = await LiveThread.create(this.store, params);
    } else {
      this.live = await LiveThread.resume(this.store, threadId);
    }
    return this.live;
  }

  get store(): LocalThreadStore {
    if (!this.#store) throw new Error('not started');
    return this.#store;
  }

  get file(): string | undefined {
    const name = readdirSync(this.home, { recursive: true }).find(
      (entry) => String(entry).endsWith('.jsonl') && String(entry).includes(this.threadId),
    );
    return name === undefined ? undefined : path.join(this.home, String(name));
  }

  /** The disk goes away under the program. */
  break(): void {
    const { file } = this;
    if (file === undefined) return;
    for (const fd of descriptorsOf(file)) closeSync(fd);
    renameSync(path.join(this.home, 'sessions'), path.join(this.home, 'away'));
  }

  mend(): void {
    renameSync(path.join(this.home, 'away'), path.join(this.home, 'sessions'));
  }

  /** What a kill does: all that was in memory is gone, the OS closes what was open. */
  async kill(): Promise<void> {
    await this.store.close();
    this.#closeDb();
    this.live = undefined;
  }

  async end(): Promise<void> {
    await this.kill();
    rmSync(this.home, { recursive: true, force: true });
  }

  async said(): Promise<number[]> {
    const numbers: number[] = [];
    for await (const { payload } of this.store.loadHistory(this.threadId))
      if (typeof payload['n'] === 'number') numbers.push(payload['n']);
    return numbers;
  }

  expectOrdinals(): void {
    if (this.#mode === 'legacy' || this.file === undefined) return;
    const ordinals = readFileSync(this.file, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('{"timestamp') && line.endsWith('}'))
      .map((line) => JSON.parse(line).ordinal);
    expect(ordinals).toEqual(ordinals.map((_: unknown, index: number) => index));
  }
}

type Command = fc.AsyncCommand<Model, Real>;
let counter = 0;

const command = (
  name: string,
  check: (model: Model) => boolean,
  run: (model: Model, real: Real) => Promise<void>,
): Command => ({
  check,
  run,
  toString: () => name,
});

const exists = (model: Model) => model.said.length > 0 || model.name !== undefined || model.branch !== undefined;

async function liveOf(model: Model, real: Real): Promise<LiveThread> {
  return real.live ?? (await real.load(!exists(model)));
}

const append = (count: number) =>
  command(
    `append ${count}`,
    (model) => !model.isBroken || exists(model),
    async (model, real) => {
      if (model.isBroken && !real.live) return;
      const live = await liveOf(model, real);
      const numbers = Array.from({ length: count }, () => counter++);
      try {
        await live.append(numbers.map((n) => eventItem({ type: 'token_count', n })));
        model.said.push(...model.waiting, ...numbers);
        model.waiting = [];
      } catch (error) {
        if (!(error instanceof ThreadkeeperError)) throw error;
        expect(model.isBroken).toBe(true);
        // The first that fails is taken; while it waits no other is.
        if (model.waiting.length === 0) model.waiting = numbers;
      }
    },
  );

const flush = command(
  'flush',
  () => true,
  async (model, real) => {
    if (!real.live) return;
    try {
      await real.live.flush();
      model.said.push(...model.waiting);
      model.waiting = [];
    } catch (error) {
      if (!(error instanceof ThreadkeeperError)) throw error;
      expect(model.isBroken).toBe(true);
    }
  },
);

const rename = (name: string) =>
  command(
    `rename ${name}`,
    (model) => !model.isBroken,
    async (model, real) => {
      await (await liveOf(model, real)).updateMetadata({ name });
      model.said.push(...model.waiting);
      model.waiting = [];
      model.name = name;
    },
  );

const patch = (branch: string) =>
  command(
    `patch ${branch}`,
    (model) => !model.isBroken,
    async (model, real) => {
      await (await liveOf(model, real)).updateMetadata({ gitInfo: { branch } });
      model.said.push(...model.waiting);
      model.waiting = [];
      model.branch = branch;
    },
  );

const kill = command(
  'kill',
  () => true,
  async (model, real) => {
    await real.kill();
    model.waiting = [];
    await real.start();
  },
);

const close = command(
  'close',
  (model) => !model.isBroken,
  async (model, real) => {
    await real.live?.shutdown();
    real.live = undefined;
    model.said.push(...model.waiting);
    model.waiting = [];
  },
);

const breakDisk = command(
  'break',
  (model) => !model.isBroken && exists(model),
  async (model, real) => {
    real.break();
    model.isBroken = true;
  },
);

const mendDisk = command(
  'mend',
  (model) => model.isBroken,
  async (model, real) => {
    real.mend();
    model.isBroken = false;
  },
);

const look = command(
  'look',
  (model) => !model.isBroken && exists(model),
  async (model, real) => {
    expect(await real.said()).toEqual(model.said);
    real.expectOrdinals();
    const thread = await real.store.readThread(real.threadId);
    expect([thread.name, thread.git.branch]).toEqual([model.name, model.branch]);
  },
);

const commands = fc.commands(
  [
    fc.integer({ min: 1, max: 4 }).map(append),
    fc.constant(flush),
    fc.constantFrom('one', 'two').map(rename),
    fc.constantFrom('main', 'dev').map(patch),
    fc.constant(kill),
    fc.constant(close),
    fc.constant(breakDisk),
    fc.constant(mendDisk),
    fc.constant(look),
  ],
  { maxCommands: 40, size: 'max' },
);

describe('a live thread, whatever is done in whatever order', () => {
  it.each([
    ['legacy', true],
    ['paginated', true],
    ['legacy', false],
    ['paginated', false],
  ] as const)('has every acknowledged item once and in order, and its patches (%s, DB: %s)', async (mode, hasDb) => {
    await fc.assert(
      fc.asyncProperty(commands, async (sequence) => {
        const real = new Real(mode, hasDb);
        const model: Model = { said: [], waiting: [], name: undefined, branch: undefined, isBroken: false };
        try {
          await real.start();
          await fc.asyncModelRun(() => ({ model, real }), sequence);
          if (model.isBroken) await mendDisk.run(model, real);
          if (real.live) await close.run(model, real);
          if (exists(model)) await look.run(model, real);
        } finally {
          await real.end();
        }
      }),
      { numRuns: 80 },
    );
  });
});
