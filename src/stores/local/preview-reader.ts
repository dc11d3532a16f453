import type { RolloutFile } from './rollout/rollout-file.js';
import type { RolloutLibrary } from './rollout/rollout-library.js';
import type { RolloutMetadata } from './rollout/rollout-metadata.js';

const MAX_BASES = 20;

/** Finds previews that a file does not hold by itself. */
export class PreviewReader {
  readonly #library: Pick<RolloutLibrary, 'home' | 'catalog' | 'summaries'>;

  constructor(library: Pick<RolloutLibrary, 'home' | 'catalog' | 'summaries'>) {
    this.#library = library;
  }

  /**
   * The first message of the whole history: what a fork or a reverted thread builds on comes before its own file, and
   * Codex keeps that preview too. Throws when the file itself cannot be read.
   */
  async readPreview(file: RolloutFile): Promise<string> {
    let current: RolloutFile | undefined = file;
    let preview = '';
    for (let depth = 0; current && depth < MAX_BASES; depth += 1) {
      const reading = this.#readMetadata(current);
      // An unreadable base gives no preview. Other code reports that it cannot be read.
      const metadata = await (current === file ? reading : reading.catch(() => undefined));
      if (!metadata) break;
      preview = metadata.displayPreview || preview;
      if (!metadata.meta?.historyBase) break;
      current = this.#library.catalog.byRolloutId(metadata.meta.historyBase.rolloutId);
    }
    return preview;
  }

  async #readMetadata(file: RolloutFile): Promise<RolloutMetadata | undefined> {
    if (!this.#library.home.contains(file.path)) return undefined;
    return (await this.#library.summaries.head(file)).metadata;
  }
}
