import { setTimeout as sleep } from 'node:timers/promises';
import { expect, inject, it } from 'vitest';
import { OurServer, type ThreadReading } from '../support/mcp-client.js';
import { newSchema, sql } from '../support/postgres-store.js';

const SERVERS = 4;
const THREADS = 8;
const APPENDS = 20_000;
const KILLS = 20;

const url = inject('postgresUrl');

/** One server after another in one place: when one is killed, a new one takes it. */
class Place {
  server: OurServer | undefined;
  /** How many servers there were here. */
  incarnation = 0;
  #starting: Promise<void> | undefined;

  constructor(
    readonly index: number,
    readonly schema: string,
  ) {}

  async start(): Promise<void> {
    this.#starting ??= (async () => {
      this.incarnation += 1;
      const flags = ['--schema', this.schema, '--lease', '1'];
      this.server = await new OurServer(undefined, flags, { THREADKEEPER_STORE: url }).start();
    })().finally(() => {
      this.#starting = undefined;
    });
    await this.#starting;
  }

  kill(): void {
    if (this.server) process.kill(this.server.pid, 'SIGKILL');
    this.server = undefined;
  }
}

const random = (limit: number) => Math.floor(Math.random() * limit);

it('four servers append to eight threads, are killed at random, and lose, repeat or mix up nothing', {
  timeout: 600_000,
}, async () => {
  const schema = newSchema();
  const places = Array.from({ length: SERVERS }, (_, index) => new Place(index, schema));
  for (const place of places) await place.start();
  const threadIds: string[] = [];
  for (let index = 0; index < THREADS; index += 1) {
    const args = { cwd: '/code', message: `thread ${index}` };
    const { thread } = (await places[0]?.server?.call<ThreadReading>('start_thread', args)) ?? { thread: undefined };
    threadIds.push(thread?.threadId ?? '');
    await places[0]?.server?.call('close_thread', { threadId: thread?.threadId });
  }
  const acknowledged = new Map<string, string[]>(threadIds.map((id) => [id, []]));
  const unanswered = new Set<string>();
  let appends = 0;
  let conflicts = 0;

  /** One after the other in one place: holds the thread for some appends, then lets it go. */
  async function write(place: Place, threadId: string): Promise<void> {
    for (let hold = 0; appends < APPENDS; hold += 1) {
      const { server, incarnation } = place;
      if (!server) {
        await sleep(50);
        continue;
      }
      const count = 10 + random(90);
      try {
        for (let n = 0; n < count && appends < APPENDS; n += 1) {
          const text = `${place.index}.${incarnation}.${hold} ${n}`;
          unanswered.add(`${threadId} ${text}`);
          await server.call('append_to_thread', { threadId, items: [{ type: 'agentMessage', text }] });
          unanswered.delete(`${threadId} ${text}`);
          acknowledged.get(threadId)?.push(text);
          appends += 1;
        }
        await server.call('close_thread', { threadId });
        await sleep(random(50));
      } catch (error) {
        const isConflict = String(error).includes('"conflict"');
        // Whatever else happens must be because the server was killed.
        if (!isConflict && place.server === server) throw error;
        if (isConflict) {
          // The last one said that it wrote nothing.
          for (const text of unanswered) {
            if (text.startsWith(`${threadId} ${place.index}.${incarnation}.${hold} `)) unanswered.delete(text);
          }
          conflicts += 1;
        }
        await sleep(50 + random(200));
      }
    }
  }

  let kills = 0;
  async function murder(): Promise<void> {
    while (appends < APPENDS) {
      await sleep(100 + random(400));
      // Spread over the whole of it.
      if (appends < (kills * APPENDS) / KILLS) continue;
      const place = places[random(SERVERS)];
      place?.kill();
      kills += 1;
      await place?.start();
    }
  }

  await Promise.all([murder(), ...places.flatMap((place) => threadIds.map((id) => write(place, id)))]);
  for (const place of places) await place.server?.stop();

  expect(kills).toBeGreaterThanOrEqual(KILLS / 2);
  expect(conflicts).toBeGreaterThan(0);
  let total = 0;
  for (const threadId of threadIds) {
    const rows = await sql(
      `SELECT ordinal, payload->>'message' AS text FROM ${schema}.items
      WHERE thread_id = $1 AND event = 'agent_message' ORDER BY ordinal`,
      [threadId],
    );
    const texts = rows.map(({ text }) => String(text));
    const stored = new Set(texts);
    expect(stored.size).toBe(texts.length);
    // What was acknowledged is there; what else is there was asked for and never answered.
    expect(acknowledged.get(threadId)?.filter((text) => !stored.has(text))).toEqual([]);
    const known = new Set(acknowledged.get(threadId));
    expect(texts.filter((text) => !known.has(text) && !unanswered.has(`${threadId} ${text}`))).toEqual([]);
    // While one server holds the thread no other writes it: each hold is one run, in order.
    const ended = new Set<string>();
    let current = '';
    let last = -1;
    for (const text of texts) {
      const [hold = '', n] = text.split(' ');
      if (hold !== current) {
        ended.add(current);
        expect(ended.has(hold)).toBe(false);
        current = hold;
        last = -1;
      }
      expect(Number(n)).toBe(last + 1);
      last = Number(n);
    }
    total += texts.length;
  }
  expect(total).toBeGreaterThanOrEqual(APPENDS);
});
