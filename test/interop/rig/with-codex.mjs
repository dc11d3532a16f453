// What the interop suite and the bench need to drive the real Codex.
export { AppServer } from './lib/app-server.mjs';
export { writeConfig } from './lib/config.mjs';
export { installCodex } from './lib/install.mjs';
export { makeRealHome } from './lib/make-real-home.mjs';
export { startMock } from './lib/mock.mjs';
export { CODEX_VERSION } from './lib/paths.mjs';
export { sleep } from './lib/timing.mjs';
