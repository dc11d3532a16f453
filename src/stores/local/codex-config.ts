import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { parse as parseToml } from 'smol-toml';
import { systemErrorCode } from '../../protocol/errors.js';
import { withHome } from '../../protocol/home-path.js';
import { asText } from '../../protocol/json.js';
import type { Warn } from './local-home.js';

export interface CodexConfig {
  readonly sqliteHome?: string | undefined;
  readonly modelProvider?: string | undefined;
  /** Why the configuration could not be read; what it says is not known then. */
  readonly problem?: string | undefined;
}

/** What matters here of Codex's config.toml; a relative `sqlite_home` is below the home, and `~` is the user's directory. */
export function codexConfig(home: string, warn: Warn): CodexConfig {
  const file = path.join(home, 'config.toml');
  try {
    if (!(statSync(file, { throwIfNoEntry: false })?.isFile() ?? false)) return {};
    const config = parseToml(readFileSync(file, 'utf8'));
    const directory = asText(config['sqlite_home']);
    return {
      sqliteHome: directory && path.resolve(home, withHome(directory)),
      modelProvider: asText(config['model_provider']),
    };
  } catch (error) {
    const isMissing = systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR';
    if (isMissing) return {};
    // Of a mistake in the text the first line says what it is, and where.
    const why = error instanceof Error ? error.message.split('\n')[0] : String(error);
    warn(`config.toml is not understood (${why}); its sqlite_home and model_provider, if any, are not used`);
    const problem = `${file} is not understood (${why}), and may say that Codex keeps its state DB elsewhere: mend it`;
    return { problem };
  }
}

/** What the home's `installation_id` says; undefined where there is none. */
export function readInstallationId(home: string): string | undefined {
  try {
    const file = path.join(home, 'installation_id');
    return statSync(file).isFile() ? readFileSync(file, 'utf8').trim().slice(0, 100) || undefined : undefined;
  } catch {
    return undefined;
  }
}
