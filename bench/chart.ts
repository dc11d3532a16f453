import type { Row } from './measure.js';

const WIDTH = 760;
const LABEL = 200;
const BAR = 14;
const GAP = 14;

/** A bar chart as SVG: both medians of each operation, on a logarithmic scale, as they differ by a hundred times. */
export function chart(title: string, rows: readonly Row[]): string {
  const times = rows.flatMap(({ codex, ours }) => [codex.p50, ours.p50]);
  const least = Math.min(...times) / 1.5;
  const scale = (WIDTH - LABEL - 90) / Math.log(Math.max(...times) / least);
  const width = (time: number) => Math.max(1, Math.log(time / least) * scale);
  const height = 60 + rows.length * (2 * BAR + GAP);
  const bars = rows.flatMap(({ name, codex, ours }, index) => {
    const y = 50 + index * (2 * BAR + GAP);
    return [
      `<text x="${LABEL - 8}" y="${y + BAR + 4}" text-anchor="end">${escaped(name)}</text>`,
      bar(y, codex.p50, width(codex.p50), '#9aa0a6'),
      bar(y + BAR, ours.p50, width(ours.p50), '#1a73e8'),
    ];
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#fff"/>
<text x="10" y="20" font-size="15">${escaped(title)}</text>
<text x="10" y="38" fill="#5f6368">grey: Codex app-server, blue: threadkeeper; milliseconds, logarithmic, shorter is better</text>
${bars.join('\n')}
</svg>
`;
}

function bar(y: number, time: number, width: number, colour: string): string {
  return `<rect x="${LABEL}" y="${y}" width="${width.toFixed(1)}" height="${BAR - 2}" fill="${colour}"/><text x="${(LABEL + width + 5).toFixed(1)}" y="${y + BAR - 3}" font-size="11">${time.toFixed(2)}</text>`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
