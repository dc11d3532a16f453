/** One operation on both servers; each side throws when its answer is wrong. */
export interface Operation {
  readonly name: string;
  readonly calls: number;
  /** Not timed. */
  prepare?(index: number): Promise<void>;
  codex(index: number): Promise<void>;
  ours(index: number): Promise<void>;
}

export interface Side {
  readonly p50: number;
  readonly p95: number;
  readonly wrong: number;
}

export interface Row {
  readonly name: string;
  readonly calls: number;
  readonly codex: Side;
  readonly ours: Side;
  /** Codex's median by ours: above 1, ours is faster. */
  readonly ratio: number;
  readonly firstProblem: string | undefined;
}

/** Times both sides call by call in turns, so that whatever disturbs the machine disturbs both. */
export async function measure(operation: Operation): Promise<Row> {
  const codex: number[] = [];
  const ours: number[] = [];
  const wrong = { codex: 0, ours: 0 };
  let firstProblem: string | undefined;
  const time = async (side: 'codex' | 'ours', samples: number[], index: number) => {
    const started = performance.now();
    try {
      await operation[side](index);
    } catch (error) {
      wrong[side] += 1;
      firstProblem ??= `${side}: ${error instanceof Error ? error.message : error}`.slice(0, 200);
    }
    samples.push(performance.now() - started);
  };
  for (let index = 0; index < operation.calls; index += 1) {
    await operation.prepare?.(index);
    const sides = index % 2 === 0 ? (['codex', 'ours'] as const) : (['ours', 'codex'] as const);
    for (const side of sides) await time(side, side === 'codex' ? codex : ours, index);
  }
  const codexSide = { ...percentiles(codex), wrong: wrong.codex };
  const oursSide = { ...percentiles(ours), wrong: wrong.ours };
  return {
    name: operation.name,
    calls: operation.calls,
    codex: codexSide,
    ours: oursSide,
    ratio: codexSide.p50 / oursSide.p50,
    firstProblem,
  };
}

/** The middle and the 95th of a hundred. */
export function percentiles(samples: readonly number[]): { p50: number; p95: number } {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { p50: at(0.5), p95: at(0.95) };
}

/** The rows as a Markdown table. */
export function table(title: string, rows: readonly Row[]): string {
  const cells = rows.map(({ name, calls, codex, ours, ratio }) => [
    name,
    String(calls),
    `${codex.p50.toFixed(2)} / ${codex.p95.toFixed(2)}`,
    `${ours.p50.toFixed(2)} / ${ours.p95.toFixed(2)}`,
    `${ratio.toFixed(1)}×`,
    `${codex.wrong} / ${ours.wrong}`,
  ]);
  const header = ['operation', 'calls', 'Codex p50 / p95 ms', 'ours p50 / p95 ms', 'ratio', 'wrong, Codex / ours'];
  const lines = [header, header.map(() => '---'), ...cells].map((line) => `| ${line.join(' | ')} |`);
  return `### ${title}\n\n${lines.join('\n')}\n`;
}
