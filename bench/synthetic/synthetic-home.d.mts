// Types of synthetic-home.mjs. The comments are with the code.

export interface SyntheticThread {
  id: string;
  parent: string | null;
  root: string;
  archived: boolean;
  mode: 'legacy' | 'paginated';
  /** Relative to the home. */
  file: string;
  bytes: number;
  turns: number;
  /** Creation, milliseconds. */
  at: number;
  source: 'cli' | 'vscode' | 'exec' | 'subagent';
  cwd: string;
  title: string;
}

export interface SyntheticManifest {
  stats: { threads: number; totalMB: number; medianKB: number; p99KB: number; maxKB: number };
  trees10: string[];
  threads: SyntheticThread[];
}

export declare function makeSyntheticHome(
  home: string,
  options: { threads: number; seed?: number; trees?: number },
): SyntheticManifest;
