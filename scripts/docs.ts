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
    const rows = argumentRows(inputSchema.properties, required, '');
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

/** A row for each argument, and for each key of the objects in it. */
function argumentRows(properties: object, required: ReadonlySet<unknown>, path: string): string[] {
  return Object.entries(properties).flatMap(([argument, value]) => {
    const schema = value as Schema;
    const name = `${path}${argument}`;
    const text = [schema.description, limits(schema)].filter(Boolean).join(' ');
    const row = `| \`${name}\`${required.has(argument) ? ' (required)' : ''} | ${cell(typeText(schema))} | ${cell(text)} |`;
    const inner = schema.type === 'array' ? schema.items : schema;
    const variants = inner?.anyOf ?? inner?.oneOf ?? (inner ? [inner] : []);
    const below = variants.flatMap((variant) =>
      variant.properties
        ? argumentRows(variant.properties, new Set(variant.required), `${name}${schema.type === 'array' ? '[]' : ''}.`)
        : [],
    );
    return [row, ...new Set(below)];
  });
}

function limits({ default: usual, minimum, maximum, minItems, maxItems }: Schema): string {
  return [
    usual === undefined ? '' : `Default: \`${JSON.stringify(usual)}\`.`,
    range(minimum, maximum, ''),
    range(minItems, maxItems, ' entries'),
  ]
    .filter(Boolean)
    .join(' ');
}

function range(least: number | undefined, most: number | undefined, what: string): string {
  if (most === undefined) return least === undefined ? '' : `At least ${least}${what}.`;
  return least === undefined ? `At most ${most}${what}.` : `From ${least} to ${most}${what}.`;
}

interface Schema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly properties?: object;
  readonly required?: readonly string[];
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
}

function typeText({ type, enum: values, const: constant, items, anyOf, oneOf }: Schema): string {
  if (constant !== undefined) return `\`${JSON.stringify(constant)}\``;
  if (values) return values.map((value) => `\`${JSON.stringify(value)}\``).join(', ');
  const variants = anyOf ?? oneOf;
  if (variants) return [...new Set(variants.map(typeText))].join(' or ');
  if (type === 'array') return `list of ${items ? typeText(items) : 'values'}`;
  return typeof type === 'object' ? type.join(' or ') : (type ?? 'any');
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
