/** How a rollout keeps history: `legacy` events, or `paginated` items with ordinals. */
export type HistoryMode = 'legacy' | 'paginated';
