import { describe, expect, it } from 'vitest';
import { parseCommand } from '../../src/cli/parse-command.js';

describe('parseCommand', () => {
  it('says which store by its kind', () => {
    const url = 'postgres://u:p@localhost/x';
    const kindOf = (args: string[], env = {}) => {
      const command = parseCommand(args, env);
      return command.kind === 'serve' ? command.options.store.kind : command;
    };
    expect(kindOf([])).toBe('local');
    expect(kindOf(['--store', url])).toBe('postgres');
    expect(kindOf([], { THREADKEEPER_STORE: url, CODEX_HOME: '/x' })).toBe('postgres');
    expect(kindOf(['--home', '/x'], { THREADKEEPER_STORE: url })).toBe('local');
  });

  it('refuses to run when npm kept a flag', () => {
    const env = { npm_lifecycle_event: 'start', npm_config_read_only: 'true' };
    expect(parseCommand([], env)).toMatchObject({
      kind: 'usageError',
      message: expect.stringContaining('-- --read-only'),
    });
    const kept = { npm_config_dry_run: 'true', npm_config_state_db: '', npm_config_home: '/x', npm_config_limit: '5' };
    for (const [name, value] of Object.entries(kept)) {
      expect([name, parseCommand([], { npm_lifecycle_event: 'start', [name]: value }).kind]).toEqual([
        name,
        'usageError',
      ]);
    }
    expect(parseCommand(['--read-only'], { npm_lifecycle_event: 'start', npm_config_json: 'true' }).kind).toBe('serve');
  });

  it('refuses a list of no threads, and flags that mean nothing for the store', () => {
    for (const args of [
      ['list', '--limit', '0'],
      ['--schema', 'x'],
      ['--store', 'postgres://u@h/d', '--home', '/x'],
      ['doctor', '--store', 'postgres://u@h/d'],
    ]) {
      expect(parseCommand(args, {}).kind).toBe('usageError');
    }
  });
});
