// A REAL Codex home, made by driving the real Codex against the fake provider: exec runs, app-server threads,
// sub-agents, forks, renames, archives, deletes.
import fs from 'node:fs';
import path from 'node:path';
import { writeConfig } from './config.mjs';
import { startMock } from './mock.mjs';
import { makeLegacyPart } from './real-home/legacy.mjs';
import { makePaginatedPart } from './real-home/paginated.mjs';
import { Recorder } from './real-home/recorder.mjs';

/** Make one in `folder`. Returns the home and the ids of its named threads, those without a file included. */
export async function makeRealHome(folder) {
  const home = path.join(folder, 'codex-home');
  const work = path.join(folder, 'work');
  fs.mkdirSync(work, { recursive: true });
  const recorder = new Recorder();
  const mocks = [];
  const start = async (options) => {
    const mock = await startMock(options);
    mocks.push(mock);
    return mock;
  };
  try {
    const mock = await start();
    writeConfig(home, mock.port, { maxAgentDepth: 4 });
    const context = { home, work, recorder, startSecondMock: () => start({ multiAgent: 'v2' }) };
    await makePaginatedPart(context);
    await makeLegacyPart(context);
  } finally {
    await Promise.all(mocks.map((mock) => mock.stop()));
  }
  return { home, threads: recorder.threads };
}
