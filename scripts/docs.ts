import { readFileSync } from 'node:fs';
import type { ToolKind } from '../src/mcp/define-tool.js';
import { ALL_TOOLS } from '../src/mcp/tools/index.js';
import { commandTable, flagTable } from './cli-tables.js';
import { toolExamples } from './tool-examples.js';

const ROOT = new URL('../', import.meta.url);

const KINDS: Readonly<Record<ToolKind, string>> = {
  read: 'reads',
  reversibleWrite: 'changes, reversibly',
  addingWrite: 'adds',
};

/** The files with generated parts, as they should be. */
export async function generatedDocs(): Promise<Map<string, string>> {
  const reference = await toolReference();
  return new Map([
    ['README.md', replaced('README.md', { tools: toolTable() })],
    ['docs/cli.md', replaced('docs/cli.md', { commands: commandTable(), flags: flagTable() })],
    ['docs/tools.md', replaced('docs/tools.md', { reference })],
  ]);
}

/** A file of the project as it is. */
export function current(file: string): string {
  return readFileSync(new URL(file, ROOT), 'utf8');
}

function replaced(file: string, parts: Readonly<Record<string, string>>): string {
  let text = current(file);
  for (const [name, part] of Object.entries(parts)) {
    const begin = `<!-- ${name}: written by \`npm run docs\` -->`;
    const end = `<!-- end of ${name} -->`;
    const [before, after] = [text.indexOf(begin), text.indexOf(end)];
    if (before === -1 || after === -1) throw new Error(`${file} has no place for ${name}`);
    text = `${text.slice(0, before + begin.length)}\n\n${part}\n\n${text.slice(after)}`;
  }
  return text;
}

function toolTable(): string {
  const rows = ALL_TOOLS.map(({ definition: { name, description }, kind }) => {
    const [first = ''] = description.split(/(?<=\.) /);
    return `| [\`${name}\`](docs/tools.md#${name}) | ${KINDS[kind]} | ${first} |`;
  });
  return ['| tool | | what it does |', '|---|---|---|', ...rows].join('\n');
}

async function toolReference(): Promise<string> {
  const examples = await toolExamples();
  const sections = ALL_TOOLS.map(({ definition: { name, description, inputSchema }, kind }) => {
    const required = new Set(Array.isArray(inputSchema['required']) ? inputSchema['required'] : []);
    const rows = Object.entries(inputSchema.properties).map(([argument, schema]) => {
      const text = (schema as { description?: string }).description ?? '';
      return `| \`${argument}\`${required.has(argument) ? ' (required)' : ''} | ${typeText(schema)} | ${cell(text)} |`;
    });
    const example = examples.get(name);
    return [
      `## ${name}`,
      '',
      `${description} (It ${KINDS[kind]}.)`,
      '',
      '| argument | type | |',
      '|---|---|---|',
      ...rows,
      '',
      `Example: \`${JSON.stringify(example?.args)}\``,
      '',
      '```json',
      example?.result ?? '',
      '```',
    ].join('\n');
  });
  return sections.join('\n\n');
}

function typeText(schema: object): string {
  const {
    type,
    enum: values,
    items,
    anyOf,
  } = schema as {
    type?: string | string[];
    enum?: unknown[];
    items?: object;
    anyOf?: object[];
  };
  if (values) return values.map((value) => `\`${JSON.stringify(value)}\``).join(', ');
  if (anyOf) return anyOf.map(typeText).join(' or ');
  if (type === 'array') return `list of ${items ? typeText(items) : 'values'}`;
  return Array.isArray(type) ? type.join(' or ') : (type ?? 'any');
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
