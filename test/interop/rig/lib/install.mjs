// Install the real Codex with npm, outside the dependency tree of the project: it is 400 MB.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { CODEX_VERSION, codexBinary, findCodexBinary, inWorkDir, workDir } from './paths.mjs';

/** Install CODEX_VERSION into the work folder, unless it is there already. Returns the binary's path. */
export function installCodex() {
  if (!process.env.CODEX_BIN && !(installedVersion() === CODEX_VERSION && findCodexBinary())) {
    fs.mkdirSync(workDir(), { recursive: true });
    const manifest = inWorkDir('package.json');
    if (!fs.existsSync(manifest)) fs.writeFileSync(manifest, '{"name":"threadkeeper-codex","private":true}\n');
    const args = ['install', '--no-audit', '--no-fund', '--save-exact', `@openai/codex@${CODEX_VERSION}`];
    execFileSync('npm', args, { cwd: workDir(), stdio: ['ignore', process.stderr, process.stderr] });
  }
  return codexBinary();
}

function installedVersion() {
  try {
    return JSON.parse(fs.readFileSync(inWorkDir('node_modules', '@openai', 'codex', 'package.json'), 'utf8')).version;
  } catch {
    return null;
  }
}
