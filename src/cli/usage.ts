import { COMMANDS, type CommandName, FLAG_LIST, type Flag, type FlagName } from './flags.js';

const WIDTH = 100;
const INDENT = 28;

/** The text of `--help`. */
export function usage(): string {
  const commands = Object.entries(COMMANDS).filter(([name]) => name !== 'serve') as [
    CommandName,
    typeof COMMANDS.list,
  ][];
  const lines = commands.flatMap(([name, { argument = '', summary }]) => [
    ...entry(`  ${name} ${argument}`.trimEnd(), summary),
    ...ownFlags(name).flatMap(([flag, spec]) => entry(`    ${spelling(flag, spec)}`, described(spec))),
  ]);
  return [
    'threadkeeper: an MCP server for the coding-agent threads in a Codex home or a PostgreSQL database',
    '',
    'Usage: threadkeeper [command] [options]',
    '',
    'Without a command it speaks MCP on stdin and stdout; an assistant starts it. docs/cli.md and the',
    'README have the configuration of each client.',
    '',
    'Commands:',
    ...lines,
    '',
    'Options:',
    ...sharedFlags().flatMap(([flag, spec]) => entry(`  ${spelling(flag, spec)}`, described(spec))),
    '',
  ].join('\n');
}

/** The table of commands for the docs, as Markdown. */
export function commandTable(): string {
  const rows = Object.entries(COMMANDS).map(([name, { argument = '', summary }]) => {
    const flags = name === 'serve' ? [] : ownFlags(name as CommandName);
    const own = flags.map(([flag, spec]) => ` \`${spelling(flag, spec)}\`: ${spec.summary}`).join('');
    const command = name === 'serve' ? 'threadkeeper' : `threadkeeper ${name} ${argument}`.trimEnd();
    return `| \`${command}\` | ${cell(summary + own)} |`;
  });
  return ['| command | |', '|---|---|', ...rows].join('\n');
}

/** The table of the flags that several commands take, as Markdown. */
export function flagTable(): string {
  const rows = sharedFlags().map(
    ([flag, spec]) =>
      `| \`${cell(spelling(flag, spec))}\` | ${spec.environment ? `\`${spec.environment}\`` : ''} | ${cell(spec.summary)} |`,
  );
  return ['| flag | environment | |', '|---|---|---|', ...rows].join('\n');
}

const isOwn = ({ of }: Flag) => of.length === 1 && of[0] !== 'serve';

/** The flags of one command alone, and `--dry-run`, which reads best beside its command. */
function ownFlags(name: CommandName) {
  return FLAG_LIST.filter(([flag, spec]) => spec.of.includes(name) && (isOwn(spec) || flag === 'dry-run'));
}

function sharedFlags() {
  return FLAG_LIST.filter(([flag, spec]) => !isOwn(spec) && flag !== 'dry-run');
}

function spelling(name: FlagName, { value, short }: Flag): string {
  return `${short === undefined ? '' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`;
}

function described({ summary, environment }: Flag): string {
  return environment === undefined ? summary : `${summary} Environment: ${environment}.`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

/** A term and its description beside it, wrapped. */
function entry(term: string, description: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of description.split(' ')) {
    if (line !== '' && line.length + word.length + 1 > WIDTH - INDENT) {
      lines.push(line);
      line = '';
    }
    line += line === '' ? word : ` ${word}`;
  }
  lines.push(line);
  const [first = '', ...rest] = lines.map((text) => ' '.repeat(INDENT) + text);
  return term.length > INDENT - 2 ? [term, first, ...rest] : [term.padEnd(INDENT) + first.slice(INDENT), ...rest];
}
