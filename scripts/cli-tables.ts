import { COMMANDS, type CommandName } from '../src/cli/flags.js';
import { ownFlags, sharedFlags, spelling } from '../src/cli/usage.js';

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

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
