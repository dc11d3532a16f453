import type { AppServer } from '../test/interop/rig/with-codex.mjs';
import type { ThreadList, ThreadReading, TreeResult } from '../test/support/mcp-client.js';
import type { Operation } from './measure.js';
import type { OurProcess } from './our-client.js';
import type { SyntheticManifest, SyntheticThread } from './synthetic/synthetic-home.mjs';

interface CodexPage {
  readonly data: readonly { readonly id: string }[];
}

/** The threads that a plain list of Codex shows: those of a terminal or an editor. */
const LISTED = ['cli', 'vscode'];
const TERMS = ['parser', 'login', 'docker', 'cursor'];

export interface Servers {
  readonly codex: AppServer;
  readonly ours: OurProcess;
  readonly manifest: SyntheticManifest;
  /** Thread names as the generator wrote them to the name index. */
  readonly names: ReadonlyMap<string, string>;
}

/** What a user does most, each side checked against what the generator wrote. */
export function operations({ codex, ours, manifest, names }: Servers, calls: number): Operation[] {
  const active = manifest.threads.filter((thread) => !thread.archived);
  const roots = active.filter((thread) => thread.parent === null);
  const listed = roots.filter((thread) => LISTED.includes(thread.source)).sort((a, b) => b.at - a.at);
  const legacy = roots.filter((thread) => thread.mode === 'legacy');
  const paginated = roots.filter((thread) => thread.mode === 'paginated');
  const pick = <T>(list: readonly T[], index: number): T => {
    const found = list[(index * 7919) % list.length];
    if (found === undefined) throw new Error('the home is too small for this bench');
    return found;
  };

  const list = (
    name: string,
    count: number,
    codexArgs: (i: number) => object,
    ourArgs: (i: number) => object,
    check: ListCheck,
  ) => ({
    name,
    calls: count,
    async codex(index: number) {
      const page = await codex.send<CodexPage>('thread/list', { sortKey: 'created_at', ...codexArgs(index) });
      check(
        page.data.map(({ id }) => id),
        index,
      );
    },
    async ours(index: number) {
      check(await ourPages({ sortBy: 'createdAt', sources: LISTED, ...ourArgs(index) }), index);
    },
  });
  // A result of ours ends at 30,000 characters: where Codex needs one page we may need two.
  const ourPages = async (args: { readonly limit?: number; readonly [name: string]: unknown }) => {
    const ids: string[] = [];
    let cursor: string | undefined;
    do {
      const limit = (args.limit ?? 25) - ids.length;
      const page = await ours.call<ThreadList>('list_threads', { ...args, limit, ...(cursor ? { cursor } : {}) });
      ids.push(...page.threads.map(({ threadId }) => threadId));
      cursor = page.nextCursor;
    } while (cursor && ids.length < (args.limit ?? 25));
    return ids;
  };
  const newest = (limit: number): ListCheck => {
    const wanted = listed
      .slice(0, limit)
      .map(({ id }) => id)
      .join();
    return (ids) => expect(ids.join() === wanted, 'other threads than the newest ones');
  };
  const directory = (index: number) => pick(listed, index).cwd;
  const textOf = ({ id, title }: SyntheticThread) => `${names.get(id) ?? ''}\n${title}`.toLowerCase();
  const term = (index: number) => TERMS[index % TERMS.length] ?? '';

  const treePairs = manifest.trees10.slice(0, manifest.trees10.length - (manifest.trees10.length % 2));
  const trees = { codex: treePairs.filter((_, i) => i % 2 === 0), ours: treePairs.filter((_, i) => i % 2 === 1) };

  return [
    list(
      'list 25',
      calls,
      () => ({ limit: 25 }),
      () => ({ limit: 25 }),
      newest(25),
    ),
    list(
      'list 100',
      calls,
      () => ({ limit: 100 }),
      () => ({ limit: 100 }),
      newest(100),
    ),
    list(
      'list 25 by cwd',
      calls,
      (index) => ({ limit: 25, cwd: directory(index) }),
      (index) => ({ limit: 25, cwd: directory(index) }),
      (ids, index) => {
        const wanted = listed.filter(({ cwd }) => cwd === directory(index)).slice(0, 25);
        expect(ids.join() === wanted.map(({ id }) => id).join(), 'other threads than those of the directory');
      },
    ),
    list(
      'list 25 by search',
      calls,
      (index) => ({ limit: 25, searchTerm: term(index) }),
      (index) => ({ limit: 25, search: term(index) }),
      (ids, index) => {
        const found = listed.filter((thread) => textOf(thread).includes(term(index)));
        expect(
          ids.join() ===
            found
              .slice(0, 25)
              .map(({ id }) => id)
              .join(),
          'other threads than those with the term',
        );
      },
    ),
    {
      name: 'read metadata',
      calls,
      async codex(index) {
        const { thread } = await codex.send<{ thread: { id: string; cwd: string } }>('thread/read', {
          threadId: pick(roots, index).id,
        });
        expect(thread.cwd === pick(roots, index).cwd, 'another cwd');
      },
      async ours(index) {
        const args = { threadId: pick(roots, index).id, includeTurns: false };
        const { thread } = await ours.call<ThreadReading>('read_thread', args);
        expect(thread.cwd === pick(roots, index).cwd, 'another cwd');
      },
    },
    turns('last 10 turns, legacy', legacy),
    turns('last 10 turns, paginated', paginated),
    {
      name: 'rename',
      calls,
      async codex(index) {
        await codex.send('thread/name/set', { threadId: pick(roots, index).id, name: `codex ${index}` });
      },
      async ours(index) {
        const args = { threadId: pick(roots, index + 3).id, name: `ours ${index}` };
        const { thread } = await ours.call<ThreadReading>('set_thread_name', args);
        expect(thread.name === args.name, 'another name');
      },
    },
    gitPatch('git patch, legacy', legacy),
    gitPatch('git patch, paginated', paginated),
    moveTree('archive of a tree of 11', 'archive'),
    moveTree('unarchive of a tree of 11', 'unarchive'),
  ];

  function turns(name: string, from: readonly SyntheticThread[]): Operation {
    const wanted = (index: number) => Math.min(10, pick(from, index).turns);
    return {
      name,
      calls,
      // Codex answers turns of paginated threads from a projection that only a resume makes: make it first.
      prepare: async (index) => {
        const { id: threadId, mode } = pick(from, index);
        if (mode === 'legacy') return;
        await codex.send('thread/resume', { threadId, excludeTurns: true });
        await codex.send('thread/unsubscribe', { threadId });
      },
      async codex(index) {
        const params = { threadId: pick(from, index).id, limit: 10, itemsView: 'full' };
        const { data } = await codex.send<{ data: unknown[] }>('thread/turns/list', params);
        expect(data.length === wanted(index), `${data.length} turns of ${wanted(index)}`);
      },
      async ours(index) {
        const { turns: found, nextCursor } = await ours.call<ThreadReading>('read_thread', {
          threadId: pick(from, index).id,
        });
        const isCut = nextCursor !== undefined && (found?.length ?? 0) > 0 && (found?.length ?? 0) < wanted(index);
        expect(found?.length === wanted(index) || isCut, `${found?.length} turns of ${wanted(index)}`);
      },
    };
  }

  function gitPatch(name: string, from: readonly SyntheticThread[]): Operation {
    // Codex keeps what it was asked to resume open for a while; a patch of a thread that is open is another matter.
    const resumed = new Set(Array.from({ length: calls }, (_, index) => pick(paginated, index).id));
    const unopened = from.filter(({ id }) => !resumed.has(id));
    return {
      name,
      calls: Math.min(calls, 50),
      async codex(index) {
        const gitInfo = { branch: `codex-${index}` };
        const { thread } = await codex.send<{ thread: { gitInfo: { branch: string } } }>('thread/metadata/update', {
          threadId: pick(unopened, index).id,
          gitInfo,
        });
        expect(thread.gitInfo.branch === gitInfo.branch, 'another branch');
      },
      async ours(index) {
        const gitInfo = { branch: `ours-${index}` };
        const args = { threadId: pick(unopened, index + 1).id, gitInfo };
        const { thread } = await ours.call<ThreadReading>('update_thread_metadata', args);
        expect(thread.git?.branch === gitInfo.branch, 'another branch');
      },
    };
  }

  function moveTree(name: string, verb: 'archive' | 'unarchive'): Operation {
    return {
      name,
      calls: trees.codex.length,
      async codex(index) {
        await codex.send(`thread/${verb}`, { threadId: pick(trees.codex, index) });
      },
      async ours(index) {
        const result = await ours.call<TreeResult>(`${verb}_thread`, { threadId: pick(trees.ours, index) });
        const moved = result.archived ?? result.unarchived ?? [];
        expect(moved.length === 11 && result.failed.length === 0, `${moved.length} threads of 11`);
      },
    };
  }
}

type ListCheck = (ids: readonly string[], index: number) => void;

function expect(isRight: boolean, problem: string): void {
  if (!isRight) throw new Error(`wrong answer: ${problem}`);
}
