import type { Archiver } from './archiver.js';
import type { LocalListing } from './listing/local-listing.js';
import type { LocalHome } from './local-home.js';
import type { ThreadResolver } from './thread-resolver.js';

/** The parts of the store that a repair works with. */
export interface HomeRepairParts {
  readonly local: LocalHome;
  readonly listing: LocalListing;
  readonly resolver: ThreadResolver;
  readonly archiver: Archiver;
}

/**
 * Puts right what a program left that was killed in the middle of a move: files that are in both directories, and rows whose
 * files were moved without them. What others hold (a lock, the DB) is left for the next time.
 */
export async function repairHome({ local, listing, resolver, archiver }: HomeRepairParts): Promise<void> {
  local.catalog.refresh();
  for (const threadId of local.catalog.threadsWithCopies()) await archiver.completeInterruptedMove(threadId);
  if (local.status.kind !== 'codex' || local.status.db.readOnly) return;
  await resolver.repairRows(await listing.strayRows());
}
