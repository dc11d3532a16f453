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
    'Without a command it speaks MCP on stdin and stdout; an assistant starts it. The README has the',
    'configuration of each client.',
    '',
    'Commands:',
    ...lines,
    '',
    'Options:',
    ...sharedFlags().flatMap(([flag, spec]) => entry(`  ${spelling(flag, spec)}`, described(spec))),
    '',
  ].join('\n');
}

const isOwn = ({ of }: Flag) => of.length === 1 && of[0] !== 'serve';

/** The flags of one command alone, and `--dry-run`, which reads best beside its command. */
export function ownFlags(name: CommandName) {
  return FLAG_LIST.filter(([flag, spec]) => spec.of.includes(name) && (isOwn(spec) || flag === 'dry-run'));
}

/** The flags that several commands take, and those of serving. */
export function sharedFlags() {
  return FLAG_LIST.filter(([flag, spec]) => !isOwn(spec) && flag !== 'dry-run');
}

/** A flag as a person types it. */
export function spelling(name: FlagName, { value, short }: Flag): string {
  return `${short === undefined ? '' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`;
}

function described({ summary, environment }: Flag): string {
  return environment === undefined ? summary : `${summary} Environment: ${environment}.`;
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
