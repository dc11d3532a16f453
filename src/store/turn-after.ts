import { noSuchTurn } from '../protocol/errors.js';
import type { ThreadId } from '../protocol/ids.js';
import type { TurnAnchor } from '../transcript/turn.js';
import type { ListTurnsParams, TurnCursor, TurnPage } from './thread-store.js';

const PAGE = 20;

/** Where the turn after this one begins; undefined when it is the last. Throws `invalid_request` when there is none such. */
export async function turnAfter(
  listTurns: (params: ListTurnsParams) => Promise<Pick<TurnPage, 'turns' | 'hasMore'>>,
  threadId: ThreadId,
  turnId: string,
): Promise<TurnAnchor | undefined> {
  let next: TurnAnchor | undefined;
  let cursor: TurnCursor | undefined;
  for (;;) {
    const page = await listTurns({ threadId, order: 'newestFirst', limit: PAGE, cursor });
    for (const turn of page.turns) {
      if (turn.turnId === turnId) return next;
      next = turn.anchor;
    }
    const last = page.turns.at(-1);
    if (!page.hasMore || !last) break;
    cursor = { turnId: last.turnId, ...last.anchor };
  }
  throw noSuchTurn(turnId);
}
