#!/usr/bin/env node
// Nothing is imported before this check: on an older Node the native parts crash the process.
const OLDEST = 22;

if (Number.parseInt(process.versions.node, 10) < OLDEST) {
  process.stderr.write(
    `threadkeeper needs Node ${OLDEST} or newer, and this is Node ${process.versions.node}: install a newer one, or start it with npm start in a checkout, which brings its own\n`,
  );
  process.exitCode = 1;
} else {
  // Long passes over files make short-lived strings: a small nursery keeps memory low, at no cost in time (measured).
  const { setFlagsFromString } = await import('node:v8');
  setFlagsFromString('--semi-space-growth-factor=1');
  const args = process.argv.slice(2);
  // They may hold the URL of a database, with its password, and everybody sees them in the list of processes.
  process.title = 'threadkeeper';
  const { run } = await import('./cli/run.js');
  const code = await run(args);
  const { drained } = await import('./cli/output.js');
  await drained(process.stdout);
  process.exit(code);
}

export {};
