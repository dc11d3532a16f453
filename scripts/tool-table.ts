import type { ToolKind } from '../src/mcp/define-tool.js';
import { ALL_TOOLS } from '../src/mcp/tools/index.js';

const BEGIN = '<!-- tools: written by `npm run docs` -->';
const KINDS: Readonly<Record<ToolKind, string>> = {
  read: 'reads',
  reversibleWrite: 'writes, reversibly',
  addingWrite: 'adds',
};
const END = '<!-- end of tools -->';

/** The text with the table between the two marks made anew. */
export function withToolTable(readme: string): string {
  const before = readme.indexOf(BEGIN);
  const after = readme.indexOf(END);
  if (before === -1 || after === -1) throw new Error('the README has no place for the table of tools');
  return `${readme.slice(0, before + BEGIN.length)}\n\n${table()}\n\n${readme.slice(after)}`;
}

function table(): string {
  const rows = ALL_TOOLS.map(({ definition: { name, description, inputSchema }, kind }) => {
    const required = new Set(Array.isArray(inputSchema['required']) ? inputSchema['required'] : []);
    const names = Object.keys(inputSchema.properties).map((argument) =>
      required.has(argument) ? `**${argument}**` : argument,
    );
    return `| \`${name}\` | ${KINDS[kind]} | ${description} | ${names.join(', ')} |`;
  });
  return ['| tool | | what it does | arguments (**required**) |', '|---|---|---|---|', ...rows].join('\n');
}
