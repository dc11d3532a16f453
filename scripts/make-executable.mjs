// npm links the bin of a published package with the right mode; a checkout needs it set after each build.
import { chmodSync } from 'node:fs';

chmodSync(new URL('../dist/main.js', import.meta.url), 0o755);
