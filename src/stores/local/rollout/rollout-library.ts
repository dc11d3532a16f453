import { NameIndex } from './name-index.js';
import { RolloutCatalog } from './rollout-catalog.js';
import type { RolloutHome } from './rollout-home.js';
import { SummaryCache } from './summary-cache.js';

/** What is known of one home's rollouts, shared by the store and the graph so that each file is read once. */
export class RolloutLibrary {
  readonly catalog: RolloutCatalog;
  readonly names: NameIndex;
  readonly summaries = new SummaryCache();

  constructor(readonly home: RolloutHome) {
    this.catalog = new RolloutCatalog(home);
    this.names = new NameIndex(home);
  }
}
