import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { current, generatedDocs } from '../scripts/docs.js';
import { PROJECT } from './support/mcp-client.js';

describe('the docs', () => {
  it('have the parts that the definitions give (npm run docs)', async () => {
    for (const [file, text] of await generatedDocs()) expect(current(file), file).toBe(text);
  });

  it.each([
    'README.md',
    'CONTRIBUTING.md',
    'AGENTS.md',
    'examples/README.md',
    ...['architecture', 'cli', 'codex-home', 'postgres', 'tools', 'troubleshooting', 'what-it-writes'].map(
      (name) => `docs/${name}.md`,
    ),
  ])('%s links to files that exist', (file) => {
    const text = readFileSync(path.join(PROJECT, file), 'utf8');
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)].map(([, link]) => link ?? '');
    const lost = links.filter((link) => !existsSync(path.resolve(PROJECT, path.dirname(file), link)));
    expect(lost).toEqual([]);
  });

  it.each(['README.md', 'CONTRIBUTING.md', 'AGENTS.md', 'docs/architecture.md', 'docs/codex-home.md'])(
    '%s names files of the project that exist',
    (file) => {
      const text = readFileSync(path.join(PROJECT, file), 'utf8');
      const named = [...text.matchAll(/`((?:src|test|scripts|bench)\/[\w./-]+)`/g)].map(([, name]) => name ?? '');
      expect(named.filter((name) => !existsSync(path.join(PROJECT, name)))).toEqual([]);
    },
  );
});
