// Where the rig keeps its files, and where the Codex binary is.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The Codex release that the rig is written for. */
export const CODEX_VERSION = '0.169.0';

/** The folder that holds the rig's scripts. */
export const RIG_ROOT = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** The folder that Codex is installed into: THREADKEEPER_CODEX_DIR, or one under the system's temporary folder. */
export function workDir() {
  return path.resolve(process.env.THREADKEEPER_CODEX_DIR || path.join(os.tmpdir(), 'threadkeeper-codex'));
}

/** A path inside the work folder. */
export function inWorkDir(...parts) {
  return path.join(workDir(), ...parts);
}

/** The Codex binary that installCodex() installed, or null. CODEX_BIN wins. */
export function findCodexBinary() {
  if (process.env.CODEX_BIN) {
    return process.env.CODEX_BIN;
  }
  const scope = inWorkDir('node_modules', '@openai');
  const executable = process.platform === 'win32' ? 'codex.exe' : 'codex';
  for (const packageName of listFolder(scope)) {
    const vendor = path.join(scope, packageName, 'vendor');
    for (const target of listFolder(vendor)) {
      const candidate = path.join(vendor, target, 'bin', executable);
      if (fs.existsSync(candidate)) {
        return candidate;
      }
    }
  }
  return null;
}

/** The Codex binary. Throws, with what to do about it, when there is none. */
export function codexBinary() {
  const binary = findCodexBinary();
  if (!binary) {
    throw new Error(
      `no Codex binary under ${workDir()}: run "npm run test:interop", which installs it, or set CODEX_BIN`,
    );
  }
  return binary;
}

/**
 * The environment for a Codex process: this one's, less the variables that would make it talk to a real account
 * or follow the settings of another Codex, with CODEX_HOME set.
 */
export function codexEnvironment(home, extra = {}) {
  const environment = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (!/^(CODEX_|OPENAI_)/.test(name)) {
      environment[name] = value;
    }
  }
  return { ...environment, CODEX_HOME: home, ...extra };
}

function listFolder(folder) {
  try {
    return fs.readdirSync(folder).sort();
  } catch {
    return [];
  }
}
