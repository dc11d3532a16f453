import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import type Database from 'better-sqlite3';
import { describe, expect, it, vi } from 'vitest';
import { errorOf } from '../../../src/contract/error-of.js';
import type { ThreadId } from '../../../src/protocol/ids.js';
import { RolloutHome } from '../../../src/stores/local/rollout/rollout-home.js';
import { acquireWriterLock } from '../../../src/stores/local/rollout/writer-lock.js';
import { ALL, newestTurns, open } from '../../support/local-store.js';
import { addRow, event, legacyTurn, newId, paginatedTurn, rolloutText, TestHome } from '../../support/test-home.js';

const AT = '2026-11-20T10:00:00.000Z';

const linesOf = (file: string) =>
  readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

describe('finding a thread', () => {
  it('ignores a row that points at another thread’s file, and repairs it', async () => {
    const home = new TestHome();
    const db = home.stateDb();
    const mine = home.rollout({ turns: [['mine', 'x']] });
    const theirs = home.rollout({ turns: [['theirs', 'x']] });
    addRow(db, { id: mine.id, rollout_path: theirs.file });
    addRow(db, { id: theirs.id, rollout_path: theirs.file });
    const { manager } = await open(home.root);
    expect((await manager.readThread(mine.id)).preview).toBe('mine');
    expect(db.prepare('SELECT rollout_path FROM threads WHERE id = ?').pluck().get(mine.id)).toBe(mine.file);
    expect((await manager.listThreads(ALL)).threads.map(({ thread }) => thread.preview).sort()).toEqual([
      'mine',
      'theirs',
    ]);
  });

  it('follows a file that was moved behind the row’s back, and repairs the row', async () => {
    const home = new TestHome();
    const db = home.stateDb();
    const { id, file } = home.rollout();
    addRow(db, { id, rollout_path: file });
    mkdirSync(path.join(home.root, 'archived_sessions'));
    const moved = path.join(home.root, 'archived_sessions', path.basename(file));
    renameSync(file, moved);
    const { manager } = await open(home.root);
    expect(await manager.readThread(id)).toMatchObject({ isArchived: true });
    expect(db.prepare('SELECT rollout_path, archived FROM threads').get()).toEqual({
      rollout_path: moved,
      archived: 1,
    });
  });

  it('repairs, when it starts to serve, what a program left that was killed between a move and its row', async () => {
    const home = new TestHome();
    const db = home.stateDb();
    mkdirSync(path.join(home.root, 'archived_sessions'));
    const rollouts = Array.from({ length: 5 }, () => home.rollout());
    const moved = rollouts.map(({ id, file }) => {
      addRow(db, { id, rollout_path: file });
      const target = path.join(home.root, 'archived_sessions', path.basename(file));
      renameSync(file, target);
      return target;
    });
    const { manager, repair } = await open(home.root);
    const rows = () => db.prepare('SELECT rollout_path FROM threads WHERE archived = 1 ORDER BY id').pluck().all();
    expect((await manager.listThreads({ ...ALL, filter: { archived: 'only' } })).total).toBe(5);
    expect(rows()).toEqual([]);
    await repair();
    expect(rows()).toEqual(moved);
  });

  it.each([
    ['before its row was written', false],
    ['after its row was written', true],
  ])('reads a thread whose archiving was killed %s, once, and ends the move', async (_, isRowWritten) => {
    const home = new TestHome();
    const db = home.stateDb();
    const { id, file } = home.rollout({ mode: 'paginated', turns: [['q', 'a']] });
    const archived = path.join(home.root, 'archived_sessions', path.basename(file));
    mkdirSync(path.dirname(archived));
    linkSync(file, archived);
    const kept = isRowWritten ? archived : file;
    addRow(db, { id, rollout_path: kept, archived: isRowWritten ? 1 : 0, history_mode: 'paginated' });
    const { manager, repair } = await open(home.root);
    expect(await manager.readThread(id)).toMatchObject({ isArchived: isRowWritten });
    expect((await manager.listTurns({ threadId: id, order: 'newestFirst', limit: 5 })).turns).toHaveLength(1);
    const { threads } = await manager.listThreads(ALL);
    expect(threads.map(({ thread }) => thread.isArchived)).toEqual([isRowWritten]);
    await repair();
    expect([file, archived].filter((name) => existsSync(name))).toEqual([kept]);
    await manager.archiveThread(id, { includeDescendants: false, dryRun: false });
    expect([file, archived].filter((name) => existsSync(name))).toEqual([archived]);
  });

  it('archives what is in both directories already, as after a kill', async () => {
    const home = new TestHome();
    const { id, file } = home.rollout({ turns: [['q', 'a']] });
    const archived = path.join(home.root, 'archived_sessions', path.basename(file));
    mkdirSync(path.dirname(archived));
    linkSync(file, archived);
    const { manager } = await open(home.root);
    expect((await manager.archiveThread(id, { includeDescendants: false, dryRun: false })).moved).toEqual([id]);
    expect([file, archived].filter((name) => existsSync(name))).toEqual([archived]);
  });

  it('finds a file that is named after another thread by what it says inside', async () => {
    const home = new TestHome();
    const id = newId();
    const { file } = home.rollout({ raw: rolloutText({ id, at: AT, turns: [['inside', 'x']] }) });
    expect(file).not.toContain(id);
    const { manager } = await open(home.root);
    expect((await manager.readThread(id)).preview).toBe('inside');
  });

  it('does not follow a row out of the home', async () => {
    const home = new TestHome();
    const outside = new TestHome();
    const { id, file } = outside.rollout();
    addRow(home.stateDb(), { id, rollout_path: file });
    const { manager } = await open(home.root);
    expect(await errorOf(manager.readThread(id))).toMatchObject({ code: 'thread_not_found' });
    const page = await manager.listThreads(ALL);
    expect(page.threads).toEqual([]);
    expect(page.warnings.join()).toContain('1 thread of the state DB left out');
  });

  it('says that a row’s file is gone', async () => {
    const home = new TestHome();
    const { id, file } = home.rollout();
    addRow(home.stateDb(), { id, rollout_path: file });
    rmSync(file);
    const { manager } = await open(home.root);
    expect(await errorOf(manager.readThread(id))).toMatchObject({
      code: 'thread_not_found',
      hint: expect.stringContaining('no rollout of it in the home'),
    });
    expect((await manager.listThreads(ALL)).warnings.join()).toContain('gone');
  });

  it('shows the name of the index where the row has lost it', async () => {
    const home = new TestHome();
    const { id, file } = home.rollout({ mode: 'paginated' });
    addRow(home.stateDb(), { id, rollout_path: file, history_mode: 'paginated' });
    home.name(id, 'From the index');
    const { manager } = await open(home.root);
    expect((await manager.readThread(id)).name).toBe('From the index');
    expect(await manager.findThreadsByName('From the index', 2)).toEqual([id]);
  });

  it('keeps a name cleared when the index says so last', async () => {
    const home = new TestHome();
    const { id } = home.rollout({ mode: 'paginated' });
    const { manager } = await open(home.root);
    await manager.updateThreadMetadata(id, { name: 'There' });
    await manager.updateThreadMetadata(id, { name: null });
    const again = await open(home.root);
    expect((await again.manager.readThread(id)).name).toBeUndefined();
  });
});

describe('a damaged rollout', () => {
  const good = (id: ThreadId) => rolloutText({ id, at: AT, turns: [['kept', 'answer']] });

  it.each([
    ['is empty', () => ''],
    ['holds only garbage', () => 'garbage\n\u0000\u0001\n[1,2]\n"text"\n'],
    ['is all blank lines', () => '\n\n   \n'],
  ])('that %s is no thread to read, name or move, and left out of the list with a warning', async (_, content) => {
    const home = new TestHome();
    const fine = home.rollout();
    const { id, file } = home.rollout({ raw: content() });
    const { manager } = await open(home.root);
    const page = await manager.listThreads(ALL);
    expect(page.threads.map(({ thread }) => thread.threadId)).toEqual([fine.id]);
    expect(page.warnings.join()).toContain('1 rollout file without content');
    const options = { includeDescendants: true, dryRun: false };
    for (const call of [
      () => manager.readThread(id),
      () => manager.listTurns(newestTurns(id)),
      () => manager.updateThreadMetadata(id, { name: 'n' }),
      () => manager.archiveThread(id, options),
      () => manager.forkThread(id),
    ]) {
      expect(await errorOf(call())).toMatchObject({
        code: 'thread_not_found',
        message: expect.stringContaining(path.relative(home.root, file)),
        hint: expect.stringContaining('call again shortly'),
      });
    }
    const lock = await acquireWriterLock(new RolloutHome(home.root), id, 'lasting');
    expect(await errorOf(manager.readThread(id))).toMatchObject({ code: 'conflict' });
    await lock.release();
    expect(readFileSync(file, 'utf8')).toBe(content());
  });

  it('that has no first line yet is read as soon as it has', async () => {
    const home = new TestHome();
    const source = newId();
    const { id, file } = home.rollout({ meta: { forked_from_id: source }, turns: [['said', 'x']] });
    addRow(home.stateDb(), { id, rollout_path: file, preview: 'said', first_user_message: 'said' });
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, `garbage\n${text.slice(0, 40)}`);
    const { manager } = await open(home.root);
    await manager.readThread(id).catch(() => undefined);
    writeFileSync(file, text);
    expect(await manager.readThread(id)).toMatchObject({ preview: 'said', forkedFromId: source });
  });

  it('that begins with garbage is read from its session_meta on', async () => {
    const home = new TestHome();
    const id = newId();
    home.rollout({ id, raw: `garbage\n${good(id)}` });
    const { manager } = await open(home.root);
    expect((await manager.readThread(id)).preview).toBe('kept');
    const { turns, warnings } = await manager.listTurns(newestTurns(id));
    expect(turns).toHaveLength(1);
    expect(warnings).toEqual([expect.stringContaining('could not be read: 1 line')]);
  });

  it('that has no session_meta takes its id and date from its name, keeps a name, and refuses lines', async () => {
    const home = new TestHome();
    const id = newId();
    const { file } = home.rollout({ id, raw: good(id).split('\n').slice(1).join('\n') });
    const before = readFileSync(file, 'utf8');
    const { manager } = await open(home.root);
    expect(await manager.readThread(id)).toMatchObject({ threadId: id, createdAt: Date.parse(AT), preview: 'kept' });
    expect((await manager.listTurns(newestTurns(id))).turns).toHaveLength(1);
    expect((await manager.updateThreadMetadata(id, { name: 'Named' })).thread.name).toBe('Named');
    const patch = manager.updateThreadMetadata(id, { name: 'Both', gitInfo: { branch: 'b' } });
    expect(await errorOf(patch)).toMatchObject({ code: 'unsupported' });
    expect((await manager.readThread(id)).name).toBe('Named');
    expect(readFileSync(file, 'utf8')).toBe(before);
  });

  it('with a torn last line is read without it, and ended before a line of ours', async () => {
    const home = new TestHome();
    const id = newId();
    const text = good(id);
    const { file } = home.rollout({ id, raw: text });
    truncateSync(file, Buffer.byteLength(text) - 20);
    const torn = readFileSync(file, 'utf8');
    const { manager } = await open(home.root);
    const { turns } = await manager.listTurns(newestTurns(id));
    expect(turns).toMatchObject([{ status: 'interrupted' }]);
    expect(turns[0]?.items).toHaveLength(2);
    await manager.updateThreadMetadata(id, { gitInfo: { branch: 'b' } });
    const after = readFileSync(file, 'utf8');
    expect(after.startsWith(`${torn}\n{`)).toBe(true);
    expect((await manager.readThread(id)).git.branch).toBe('b');
  });

  it('with invalid UTF-8 is read with U+FFFD, and says so', async () => {
    const home = new TestHome();
    const id = newId();
    const bytes = Buffer.from(good(id));
    bytes[bytes.indexOf('kept') + 1] = 0xff;
    home.rollout({ id, raw: bytes });
    const { manager } = await open(home.root);
    expect((await manager.readThread(id)).preview).toBe('k\ufffdpt');
    const { turns, warnings } = await manager.listTurns(newestTurns(id));
    expect(turns[0]?.items[0]?.body?.text).toBe('k\ufffdpt');
    expect(warnings.join()).toContain('Invalid UTF-8');
  });

  it('of an unknown history mode is read, can be named and archived, but gets no lines', async () => {
    const home = new TestHome();
    const { id, file } = home.rollout({ meta: { history_mode: 'holographic' }, turns: [['q', 'a']] });
    const before = readFileSync(file, 'utf8');
    const { manager } = await open(home.root);
    expect((await manager.readThread(id)).preview).toBe('q');
    expect((await manager.updateThreadMetadata(id, { name: 'x' })).thread.name).toBe('x');
    expect(await errorOf(manager.updateThreadMetadata(id, { memoryMode: 'disabled' }))).toMatchObject({
      code: 'unsupported',
    });
    expect(readFileSync(file, 'utf8')).toBe(before);
  });

  it('whose paginated tail has no ordinal gets no lines', async () => {
    const home = new TestHome();
    const id = newId();
    const text = rolloutText({ id, at: AT, mode: 'paginated', turns: [['q', 'a']] });
    const { file } = home.rollout({
      id,
      raw: `${text}{"timestamp":"${AT}","type":"event_msg","payload":{"type":"x"}}\n`,
    });
    const before = readFileSync(file, 'utf8');
    const { manager } = await open(home.root);
    expect(await errorOf(manager.updateThreadMetadata(id, { gitInfo: { branch: 'b' } }))).toMatchObject({
      code: 'invalid_request',
    });
    expect(readFileSync(file, 'utf8')).toBe(before);
  });
});

describe('history that lies in several files', () => {
  const base = (home: TestHome, id = newId()) => {
    const { file } = home.rollout({
      id,
      mode: 'paginated',
      turns: [
        ['one', '1'],
        ['two', '2'],
      ],
    });
    const lines = readFileSync(file, 'utf8').split('\n');
    const cut = lines.slice(0, 5).join('\n').length + 1;
    return { id, file, cut, ordinal: 5 };
  };
  const fork = (home: TestHome, baseId: string, cut: number, ordinal: number) =>
    home.rollout({
      mode: 'paginated',
      firstOrdinal: ordinal,
      meta: {
        forked_from_id: baseId,
        history_base: { thread_id: baseId, end_ordinal_exclusive: ordinal, end_byte_offset: cut },
      },
      turns: [['forked', 'f']],
    });
  const questions = async (home: TestHome, id: ThreadId) => {
    const { manager } = await open(home.root);
    const { turns, warnings } = await manager.listTurns({ threadId: id, order: 'oldestFirst', limit: 10 });
    return { texts: turns.map((turn) => turn.items[0]?.body?.text), warnings };
  };

  it('is read up to the cutoff of the base, then on', async () => {
    const home = new TestHome();
    const { id, cut, ordinal } = base(home);
    const forked = fork(home, id, cut, ordinal);
    expect(await questions(home, forked.id)).toEqual({ texts: ['one', 'forked'], warnings: [] });
    const { manager } = await open(home.root);
    expect(await manager.readThread(forked.id)).toMatchObject({ preview: 'one', forkedFromId: id });
  });

  it('is read through an archived and a compressed base', async () => {
    const home = new TestHome();
    const { id, file, cut, ordinal } = base(home);
    const forked = fork(home, id, cut, ordinal);
    const text = readFileSync(file, 'utf8');
    rmSync(file);
    home.rollout({ id, archived: true, compressed: true, raw: text });
    expect(await questions(home, forked.id)).toEqual({ texts: ['one', 'forked'], warnings: [] });
  });

  it('is what is left, with a warning, when the base is gone, loops or is too short', async () => {
    const home = new TestHome();
    const { id, file, cut, ordinal } = base(home);
    const forked = fork(home, id, cut, ordinal);
    const short = fork(home, id, 10_000_000, ordinal);
    expect(await questions(home, short.id)).toEqual({
      texts: ['forked'],
      warnings: [expect.stringContaining('shorter')],
    });
    rmSync(file);
    expect(await questions(home, forked.id)).toEqual({
      texts: ['forked'],
      warnings: [expect.stringContaining('missing')],
    });
    const loop = newId();
    home.rollout({
      id: loop,
      mode: 'paginated',
      meta: { history_base: { thread_id: loop, end_ordinal_exclusive: 1, end_byte_offset: 10 } },
      turns: [['loop', 'l']],
    });
    expect(await questions(home, loop)).toEqual({ texts: ['loop'], warnings: [expect.stringContaining('loops')] });
  });
});

describe('compressed rollouts', () => {
  it('are listed, read, named and archived, and refuse lines', async () => {
    const home = new TestHome();
    const { id, file } = home.rollout({ compressed: true, turns: [['packed', 'p']] });
    const before = readFileSync(file);
    const { manager } = await open(home.root);
    expect((await manager.listThreads(ALL)).threads[0]?.thread).toMatchObject({ threadId: id, preview: 'packed' });
    expect((await manager.listTurns(newestTurns(id))).turns).toHaveLength(1);
    await manager.updateThreadMetadata(id, { name: 'Packed' });
    expect(await errorOf(manager.updateThreadMetadata(id, { gitInfo: { branch: 'b' } }))).toMatchObject({
      code: 'unsupported',
    });
    await manager.archiveThread(id, { includeDescendants: true, dryRun: false });
    expect(await manager.readThread(id)).toMatchObject({ name: 'Packed', isArchived: true });
    expect(readFileSync(path.join(home.root, 'archived_sessions', path.basename(file)))).toEqual(before);
  });

  it('that are damaged are an error, not the end of the server', async () => {
    const home = new TestHome();
    const { id, file } = home.rollout({ compressed: true, turns: [['packed', 'p']] });
    writeFileSync(file, Buffer.concat([readFileSync(file).subarray(0, 30), Buffer.from('garbage')]));
    const { manager } = await open(home.root);
    expect((await manager.listThreads(ALL)).warnings.join()).toContain(path.relative(home.root, file));
    await expect(manager.readThread(id)).rejects.toMatchObject({ code: 'internal' });
  });
});

describe('what a patch writes', () => {
  it('is nothing where nothing changes', async () => {
    const home = new TestHome();
    const { id, file } = home.rollout({ turns: [['q', 'a']] });
    const { manager } = await open(home.root);
    await manager.updateThreadMetadata(id, { name: 'N', gitInfo: { branch: 'b' }, memoryMode: 'disabled' });
    const [rollout, index] = [readFileSync(file, 'utf8'), home.read('session_index.jsonl')];
    await manager.updateThreadMetadata(id, { name: 'N', gitInfo: { branch: 'b' }, memoryMode: 'disabled' });
    expect([readFileSync(file, 'utf8'), home.read('session_index.jsonl')]).toEqual([rollout, index]);
  });

  it('is one line for git and memory mode together, with the required keys and no instructions', async () => {
    const home = new TestHome();
    const { id, file } = home.rollout({
      mode: 'paginated',
      meta: { base_instructions: { text: 'long' } },
      turns: [['q', 'a']],
    });
    const before = linesOf(file);
    const { manager } = await open(home.root);
    await manager.updateThreadMetadata(id, { gitInfo: { branch: 'b', sha: 's' }, memoryMode: 'disabled' });
    const added = linesOf(file).slice(before.length);
    expect(added).toEqual([
      {
        timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        ordinal: before.length,
        type: 'session_meta',
        payload: {
          id,
          timestamp: AT,
          cwd: '/home/dev/project',
          originator: 'test',
          cli_version: '0.169.0',
          source: 'cli',
          model_provider: 'mock',
          memory_mode: 'disabled',
          history_mode: 'paginated',
          git: { commit_hash: 's', branch: 'b' },
        },
      },
    ]);
  });

  it('is refused, before anything is written, for a field that only a DB could keep', async () => {
    const home = new TestHome();
    const { id, file } = home.rollout();
    const before = readFileSync(file, 'utf8');
    const { manager } = await open(home.root);
    const patch = manager.updateThreadMetadata(id, { name: 'x', model: 'm', gitInfo: { branch: 'b' } });
    expect(await errorOf(patch)).toMatchObject({ code: 'unsupported', message: expect.stringContaining('model') });
    expect(readFileSync(file, 'utf8')).toBe(before);
    expect(existsSync(path.join(home.root, 'session_index.jsonl'))).toBe(false);
  });

  it('makes the row that a thread lacks, as Codex would', async () => {
    const home = new TestHome();
    const db = home.stateDb();
    const { id, file } = home.rollout({ turns: [['q', 'a']] });
    const { manager } = await open(home.root);
    await manager.updateThreadMetadata(id, { name: 'N' });
    expect(
      db
        .prepare('SELECT id, rollout_path, title, preview, first_user_message, cwd, source, history_mode FROM threads')
        .all(),
    ).toEqual([
      {
        id,
        rollout_path: file,
        title: 'N',
        preview: 'q',
        first_user_message: 'q',
        cwd: '/home/dev/project',
        source: 'cli',
        history_mode: 'legacy',
      },
    ]);
  });

  it('is taken back from the row when a file cannot be written', async () => {
    const home = new TestHome();
    const db = home.stateDb();
    const { id, file } = home.rollout({ mode: 'paginated', turns: [['q', 'a']] });
    addRow(db, { id, rollout_path: file, history_mode: 'paginated', git_branch: 'before' });
    mkdirSync(path.join(home.root, 'session_index.jsonl'));
    const { manager } = await open(home.root);
    await expect(manager.updateThreadMetadata(id, { name: 'x' })).rejects.toMatchObject({ code: 'internal' });
    expect(db.prepare('SELECT name FROM threads').pluck().get()).toBeNull();
    expect((await manager.listThreads(ALL)).warnings.join()).toContain('Names may be missing');
  });
});

describe('moving', () => {
  it('keeps bytes and modification time when it archives', async () => {
    const home = new TestHome();
    const { id, file } = home.rollout({ turns: [['q', 'a']] });
    const [bytes, { mtimeMs }] = [readFileSync(file), statSync(file)];
    const { manager } = await open(home.root);
    await manager.archiveThread(id, { includeDescendants: false, dryRun: false });
    const moved = path.join(home.root, 'archived_sessions', path.basename(file));
    expect(readFileSync(moved)).toEqual(bytes);
    expect(statSync(moved).mtimeMs).toBe(mtimeMs);
    expect(readdirSync(path.join(home.root, 'thread-writer-locks'))).toEqual(['.coordination.lock']);
  });

  it('puts the files back when the row cannot be written', async () => {
    const home = new TestHome();
    const db = home.stateDb();
    const { id, file } = home.rollout();
    addRow(db, { id, rollout_path: file });
    db.exec("CREATE TRIGGER no_archive BEFORE UPDATE OF archived ON threads BEGIN SELECT RAISE(ABORT, 'no'); END");
    const { manager } = await open(home.root);
    await expect(manager.archiveThread(id, { includeDescendants: true, dryRun: false })).rejects.toMatchObject({
      code: 'internal',
    });
    expect(existsSync(file)).toBe(true);
    expect(readdirSync(path.join(home.root, 'archived_sessions'))).toEqual([]);
    expect(await manager.readThread(id)).toMatchObject({ isArchived: false });
  });

  it('never overwrites a file that is in the way', async () => {
    const home = new TestHome();
    const id = newId();
    const active = home.rollout({ id, turns: [['active', 'a']] });
    const archived = home.rollout({ id, archived: true, turns: [['archived', 'a']] });
    const before = [readFileSync(active.file), readFileSync(archived.file)];
    const { manager } = await open(home.root);
    for (const dryRun of [true, false]) {
      const call = manager.archiveThread(id, { includeDescendants: true, dryRun });
      expect(await errorOf(call)).toMatchObject({ code: 'conflict', message: expect.stringContaining('in the way') });
    }
    expect([readFileSync(active.file), readFileSync(archived.file)]).toEqual(before);
  });

  it('moves a file into a directory that the user has put on another disk, and back', async () => {
    const home = new TestHome();
    const disk = new TestHome();
    const { id, file } = home.rollout();
    symlinkSync(path.join(disk.root, 'sessions'), path.join(home.root, 'archived_sessions'));
    const { manager } = await open(home.root);
    await manager.archiveThread(id, { includeDescendants: true, dryRun: false });
    expect(readdirSync(path.join(disk.root, 'sessions'))).toEqual([path.basename(file)]);
    expect((await manager.readThread(id)).isArchived).toBe(true);
    await manager.unarchiveThread(id, { includeDescendants: true, dryRun: false });
    expect(existsSync(file)).toBe(true);
  });

  it('does not move a file into a directory below that a link puts outside of the home', async () => {
    const home = new TestHome();
    const outside = new TestHome();
    const { id } = home.rollout({ archived: true });
    symlinkSync(path.join(outside.root, 'sessions'), path.join(home.root, 'sessions/2026'));
    const { manager } = await open(home.root);
    expect(await errorOf(manager.unarchiveThread(id, { includeDescendants: true, dryRun: false }))).toMatchObject({
      code: 'unsupported',
    });
    expect(readdirSync(path.join(outside.root, 'sessions'))).toEqual([]);
  });
});

describe('a home that cannot be written', () => {
  it('is served with --read-only, which writes nothing at all', async () => {
    const home = new TestHome();
    const { id } = home.rollout({ turns: [['q', 'a']] });
    const before = readdirSync(home.root, { recursive: true }).sort();
    const { manager } = await open(home.root, { readOnly: true });
    expect((await manager.listThreads(ALL)).total).toBe(1);
    expect((await manager.listTurns(newestTurns(id))).turns).toHaveLength(1);
    for (const write of [
      manager.updateThreadMetadata(id, { name: 'x' }),
      manager.archiveThread(id, { includeDescendants: true, dryRun: false }),
    ]) {
      expect(await errorOf(write)).toMatchObject({ code: 'read_only' });
    }
    expect(readdirSync(home.root, { recursive: true }).sort()).toEqual(before);
  });
});

/** Runs `action` without the powers of root, so that permissions hold. */
async function unprivileged(action: () => Promise<void>): Promise<void> {
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(65_534);
  try {
    await action();
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
}

describe('a home without write permission', () => {
  it('is read, and each write is read_only and leaves nothing', async () => {
    const home = new TestHome();
    const { id } = home.rollout({ turns: [['q', 'a']] });
    const directories = [
      home.root,
      ...readdirSync(home.root, { recursive: true }).map((name) => path.join(home.root, String(name))),
    ];
    for (const name of directories) chmodSync(name, statSync(name).isDirectory() ? 0o555 : 0o444);
    await unprivileged(async () => {
      const { manager } = await open(home.root);
      expect((await manager.listThreads(ALL)).threads[0]?.thread).toMatchObject({ threadId: id, preview: 'q' });
      expect((await manager.listTurns(newestTurns(id))).turns).toHaveLength(1);
      for (const write of [
        manager.updateThreadMetadata(id, { name: 'x' }),
        manager.updateThreadMetadata(id, { gitInfo: { branch: 'b' } }),
        manager.archiveThread(id, { includeDescendants: true, dryRun: false }),
      ]) {
        expect(await errorOf(write)).toMatchObject({ code: 'read_only' });
      }
      expect(await manager.readThread(id)).toMatchObject({ name: undefined, isArchived: false });
    });
    for (const name of directories) chmodSync(name, 0o755);
  });

  it('that hides a file or a directory says so', async () => {
    const home = new TestHome();
    const shown = home.rollout({ at: '2026-11-01T10:00:00.000Z' });
    const hidden = home.rollout({ at: '2026-11-02T10:00:00.000Z' });
    const secret = home.rollout({ at: '2026-11-03T10:00:00.000Z' });
    chmodSync(home.root, 0o755);
    chmodSync(path.dirname(secret.file), 0o000);
    chmodSync(hidden.file, 0o000);
    await unprivileged(async () => {
      const { manager } = await open(home.root);
      const page = await manager.listThreads(ALL);
      expect(page.threads.map(({ thread }) => thread.threadId)).toEqual([shown.id]);
      expect(page.warnings.join()).toContain(`${path.relative(home.root, hidden.file)} (EACCES)`);
      expect(page.warnings.join()).toContain('sessions/2026/11/03');
      expect(await errorOf(manager.readThread(hidden.id))).toMatchObject({
        code: 'unsupported',
        message: expect.stringContaining(`${hidden.file} may not be read (EACCES)`),
      });
    });
    chmodSync(path.dirname(secret.file), 0o755);
  });
});

describe('turns of a long thread', () => {
  it('are read from the end, without reading the beginning', async () => {
    const home = new TestHome();
    const id = newId();
    const filler = event({ type: 'token_count', info: { text: 'x'.repeat(2000) } });
    const lines = Array.from({ length: 3000 }, (_, index) => [
      ...paginatedTurn(`t${index}`, `q${index}`, 'a'),
      filler,
    ]).flat();
    const { file } = home.rollout({ id, mode: 'paginated', lines });
    const { size } = statSync(file);
    expect(size).toBeGreaterThan(8_000_000);
    const { manager } = await open(home.root);
    await manager.readThread(id);
    const page = await manager.listTurns({ threadId: id, order: 'newestFirst', limit: 3 });
    expect(page.turns.map(({ turnId }) => turnId)).toEqual(['t2999', 't2998', 't2997']);
    expect(page.hasMore).toBe(true);
  });

  it('of old files without markers come newest first too, with ids that do not depend on the page', async () => {
    const home = new TestHome();
    const turns = Array.from({ length: 40 }, (_, index) => [
      event({ type: 'user_message', message: `q${index}` }),
      event({ type: 'agent_message', message: `a${index}` }),
    ]).flat();
    const { id } = home.rollout({ lines: turns });
    const { manager } = await open(home.root);
    const all = await manager.listTurns({ threadId: id, order: 'oldestFirst', limit: 100 });
    const newest = await manager.listTurns({ threadId: id, order: 'newestFirst', limit: 4 });
    expect(newest.turns.map(({ turnId }) => turnId)).toEqual(
      all.turns
        .slice(-4)
        .reverse()
        .map(({ turnId }) => turnId),
    );
    const last = newest.turns.at(-1);
    const next = await manager.listTurns({
      threadId: id,
      order: 'newestFirst',
      limit: 4,
      cursor: last && { turnId: last.turnId, ...last.anchor },
    });
    expect(next.turns.map((turn) => turn.items[0]?.body?.text)).toEqual(['q35', 'q34', 'q33', 'q32']);
  });

  it('skip what was rolled back, read backwards as well', async () => {
    const home = new TestHome();
    const rollback = event({ type: 'thread_rolled_back', num_turns: 2 });
    const lines = [
      ...[1, 2, 3, 4].flatMap((n) => legacyTurn(`t${n}`, `q${n}`, 'a')),
      rollback,
      ...legacyTurn('t5', 'q5', 'a'),
    ];
    const { id } = home.rollout({ lines });
    const { manager } = await open(home.root);
    for (const limit of [1, 2, 3]) {
      const page = await manager.listTurns({ threadId: id, order: 'newestFirst', limit });
      expect(page.turns.map(({ turnId }) => turnId)).toEqual(['t5', 't2', 't1'].slice(0, limit));
      expect(page.hasMore).toBe(limit < 3);
    }
  });
});

describe('the list of a home with a DB', () => {
  it('has the threads that the DB does not know yet, in their place', async () => {
    const home = new TestHome();
    const db = home.stateDb();
    const old = home.rollout({ at: '2026-11-01T10:00:00.000Z' });
    addRow(db, { id: old.id, rollout_path: old.file, created_at: 1_793_527_200, updated_at: 1_793_527_200 });
    const loose = home.rollout({ at: '2026-11-10T10:00:00.000Z', turns: [['loose', 'x']] });
    const fresh = home.rollout({ at: '2026-11-20T10:00:00.000Z' });
    addRow(db, { id: fresh.id, rollout_path: fresh.file, created_at: 1_795_168_800, updated_at: 1_795_168_800 });
    const { manager } = await open(home.root);
    for (const limit of [1, 100]) {
      const ids: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await manager.listThreads({ ...ALL, limit, cursor });
        expect(page.total).toBe(3);
        ids.push(...page.threads.map(({ thread }) => thread.threadId));
        cursor = page.hasMore ? page.threads.at(-1)?.cursor : undefined;
      } while (cursor);
      expect(ids).toEqual([fresh.id, loose.id, old.id]);
    }
  });

  it.each([1, 2, 3, 7])(
    'has every thread once, between rows whose files have no content (%i a page)',
    async (limit) => {
      const home = new TestHome();
      const db = home.stateDb();
      const wanted: string[] = [];
      for (let day = 1; day <= 28; day += 1) {
        const at = `2026-10-${String(day).padStart(2, '0')}T10:00:00.000Z`;
        const isLeftOver = day % 7 > 3;
        const { id, file } = home.rollout(isLeftOver ? { at, raw: '\n' } : { at, turns: [[`of ${day}`, 'x']] });
        const seconds = Date.parse(at) / 1000;
        // Some threads have no row yet.
        if (isLeftOver || day % 3 > 0) addRow(db, { id, rollout_path: file, created_at: seconds, updated_at: seconds });
        if (!isLeftOver) wanted.unshift(id);
      }
      const { manager } = await open(home.root);
      for (const order of ['desc', 'asc'] as const) {
        const ids: string[] = [];
        let cursor: string | undefined;
        do {
          const page = await manager.listThreads({ ...ALL, order, limit, cursor });
          ids.push(...page.threads.map(({ thread }) => thread.threadId));
          expect(page.hasMore && page.threads.length === 0).toBe(false);
          cursor = page.hasMore ? page.threads.at(-1)?.cursor : undefined;
        } while (cursor);
        expect(ids).toEqual(order === 'desc' ? wanted : [...wanted].reverse());
      }
    },
  );

  it('is whole while another program holds the DB so that not even a read passes', async () => {
    const home = new TestHome();
    const db = home.stateDb();
    // With a write-ahead log nobody keeps readers out.
    db.pragma('journal_mode = DELETE');
    const ids = [1, 2, 3].map((n) => {
      const { id, file } = home.rollout({ turns: [[`thread ${n}`, 'x']] });
      addRow(db, { id, rollout_path: file, first_user_message: `thread ${n}`, preview: `thread ${n}` });
      return id;
    });
    const { manager } = await open(home.root);
    expect((await manager.listThreads(ALL)).total).toBe(3);
    db.exec('BEGIN EXCLUSIVE');
    const { threads, total } = await manager.listThreads(ALL);
    expect(total).toBe(3);
    expect(threads.map(({ thread }) => thread.threadId).sort()).toEqual([...ids].sort());
    db.exec('ROLLBACK');
  });

  it('has a thread that appears, and loses one that vanishes, within a second', async () => {
    const home = new TestHome();
    home.stateDb();
    const first = home.rollout();
    const { manager } = await open(home.root);
    expect((await manager.listThreads(ALL)).total).toBe(1);
    home.rollout();
    rmSync(first.file);
    home.rollout();
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect((await manager.listThreads(ALL)).total).toBe(2);
  });
});

describe('a DB that goes away while the server runs', () => {
  it.each([
    ['is removed', (file: string) => rmSync(file), true],
    [
      'is replaced',
      (file: string) => {
        renameSync(file, `${file}.old`);
        writeFileSync(file, '');
      },
      false,
    ],
  ])(
    'because it %s leaves the files to serve, a warning, and no write into the old one',
    async (_, breakIt, writerSql) => {
      const home = new TestHome();
      const db = home.stateDb();
      const { id, file } = home.rollout({ turns: [['in the file', 'a']] });
      addRow(db, { id, rollout_path: file, preview: 'in the row' });
      const { manager, warnings } = await open(home.root);
      expect((await manager.readThread(id)).preview).toBe('in the row');
      breakIt(path.join(home.root, 'state_5.sqlite'));
      expect((await manager.readThread(id)).preview).toBe('in the file');
      expect((await manager.listThreads(ALL)).total).toBe(1);
      const write = manager.updateThreadMetadata(id, { name: 'N' });
      // Where a file of that name exists Codex may fill it: a write that it would not see is refused.
      if (writerSql) expect((await write).thread.name).toBe('N');
      else expect(await errorOf(write)).toMatchObject({ code: 'conflict' });
      expect(db.prepare('SELECT title FROM threads').pluck().get()).toBe('');
      expect(warnings[0]).toContain('cannot be used any more');
    },
  );

  it('is taken again when Codex has put another in its place, and a name goes into that', async () => {
    const home = new TestHome();
    const old = home.stateDb();
    const { id, file } = home.rollout({ turns: [['q', 'a']] });
    addRow(old, { id, rollout_path: file, title: 'q', first_user_message: 'q', preview: 'q' });
    const { manager } = await open(home.root);
    await manager.listThreads(ALL);
    const database = path.join(home.root, 'state_5.sqlite');
    renameSync(database, `${database}.moved-aside`);
    for (const suffix of ['-wal', '-shm']) rmSync(database + suffix, { force: true });
    const fresh = home.stateDb();
    addRow(fresh, { id, rollout_path: file, title: 'q', first_user_message: 'q', preview: 'q' });
    expect((await manager.updateThreadMetadata(id, { name: 'N', gitInfo: { branch: 'b' } })).warnings).toEqual([]);
    expect(fresh.prepare('SELECT title, git_branch FROM threads').get()).toEqual({ title: 'N', git_branch: 'b' });
    expect(old.prepare('SELECT title FROM threads').pluck().get()).toBe('q');
  });

  it('because its pages are damaged leaves the files to serve', async () => {
    const home = new TestHome();
    const db = home.stateDb();
    const { id, file } = home.rollout({ turns: [['in the file', 'a']] });
    addRow(db, { id, rollout_path: file, preview: 'in the row' });
    db.pragma('wal_checkpoint(TRUNCATE)');
    db.close();
    const { manager } = await open(home.root);
    const database = path.join(home.root, 'state_5.sqlite');
    writeFileSync(database, readFileSync(database).fill(0xaa));
    expect((await manager.readThread(id)).preview).toBe('in the file');
    expect((await manager.listThreads(ALL)).threads.map(({ thread }) => thread.threadId)).toEqual([id]);
  });

  it.each([
    ['overwritten', (file: string) => writeFileSync(file, readFileSync(file).fill(0xaa))],
    ['cut to nothing', (file: string) => truncateSync(file)],
  ])('because it is %s lets a list go on from the files', async (_, damage) => {
    const home = new TestHome();
    const db = home.stateDb();
    const { id, file } = home.rollout({ turns: [['in the file', 'a']] });
    addRow(db, { id, rollout_path: file, preview: 'in the row' });
    db.pragma('wal_checkpoint(TRUNCATE)');
    db.close();
    const { manager } = await open(home.root);
    expect((await manager.listThreads(ALL)).threads[0]?.thread.preview).toBe('in the row');
    damage(path.join(home.root, 'state_5.sqlite'));
    for (let look = 0; look < 3; look += 1) {
      await new Promise((resolve) => setTimeout(resolve, 600));
      expect((await manager.listThreads(ALL)).threads.map(({ thread }) => thread.threadId)).toEqual([id]);
    }
  });
});

describe('Codex’s DB that is there and cannot be written for now', () => {
  const NAMED = { title: 'old', first_user_message: 'q', preview: 'q' };

  it.each([
    [
      'held by another program at the start',
      (db: Database.Database) => db.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE'),
      (db: Database.Database) => db.exec('COMMIT; PRAGMA locking_mode = NORMAL; SELECT * FROM threads'),
    ],
    [
      'being filled at the start',
      (db: Database.Database) => db.exec("UPDATE backfill_state SET status = 'running'"),
      (db: Database.Database) => db.exec("UPDATE backfill_state SET status = 'complete'"),
    ],
  ])(
    '(%s) makes a write an error, and is taken when it is free',
    async (_, hold, release) => {
      const home = new TestHome();
      const db = home.stateDb();
      const { id, file } = home.rollout({ turns: [['q', 'a']] });
      home.name(id, 'old');
      addRow(db, { id, rollout_path: file, ...NAMED });
      hold(db);
      const { manager, warnings } = await open(home.root, { indexUse: 'create' });
      expect(warnings.join()).toContain('serving from the rollout files');
      expect((await manager.readThread(id)).name).toBe('old');
      const before = [readFileSync(file, 'utf8'), home.read('session_index.jsonl')];
      const patch = { name: 'new', gitInfo: { branch: 'b' }, memoryMode: 'disabled' } as const;
      expect(await errorOf(manager.updateThreadMetadata(id, patch))).toMatchObject({ code: 'conflict' });
      expect(await errorOf(manager.archiveThread(id, { includeDescendants: false, dryRun: false }))).toMatchObject({
        code: 'conflict',
      });
      expect([readFileSync(file, 'utf8'), home.read('session_index.jsonl')]).toEqual(before);
      release(db);
      await vi.waitFor(async () => expect((await manager.updateThreadMetadata(id, patch)).warnings).toEqual([]), {
        timeout: 5000,
        interval: 200,
      });
      expect(db.prepare('SELECT title, git_branch, memory_mode FROM threads').get()).toEqual({
        title: 'new',
        git_branch: 'b',
        memory_mode: 'disabled',
      });
      expect(existsSync(path.join(home.root, 'threadkeeper.sqlite'))).toBe(false);
    },
    40_000,
  );

  it('(left out by --no-state-db) makes a write an error, as Codex would not see it', async () => {
    const home = new TestHome();
    const { id, file } = home.rollout({ turns: [['q', 'a']] });
    addRow(home.stateDb(), { id, rollout_path: file, ...NAMED });
    const { manager } = await open(home.root, { useStateDb: false });
    const error = await errorOf(manager.updateThreadMetadata(id, { name: 'new' }));
    expect([error.code, error.message]).toEqual(['conflict', expect.stringContaining('--no-state-db')]);
    expect(existsSync(path.join(home.root, 'session_index.jsonl'))).toBe(false);
  });
});

describe('Codex’s DB that appears while the server runs on its own', () => {
  it('is used from the next write on, which reaches its rows', async () => {
    const home = new TestHome();
    const { id, file } = home.rollout({ turns: [['q', 'a']] });
    const { manager, stateDb } = await open(home.root, { indexUse: 'create' });
    await manager.updateThreadMetadata(id, { name: 'Before' });
    expect(stateDb.status.kind).toBe('index');
    const db = home.stateDb();
    addRow(db, { id, rollout_path: file, title: 'Before', first_user_message: 'q', preview: 'q' });
    const patch = { gitInfo: { branch: 'after' }, memoryMode: 'disabled', name: 'After' } as const;
    expect((await manager.updateThreadMetadata(id, patch)).warnings).toEqual([]);
    expect(stateDb.status.kind).toBe('codex');
    expect(db.prepare('SELECT title, git_branch, memory_mode FROM threads').get()).toEqual({
      title: 'After',
      git_branch: 'after',
      memory_mode: 'disabled',
    });
    expect((await manager.listThreads(ALL)).threads[0]?.thread).toMatchObject({
      name: 'After',
      git: { branch: 'after' },
    });
  });
});

describe('finding threads by name', () => {
  it('finds the one that is called exactly so among many that are called much like it', async () => {
    const home = new TestHome();
    const { id } = home.rollout({ at: '2026-11-01T10:00:00.000Z', turns: [['q', 'a']] });
    home.name(id, 'test');
    for (let n = 0; n < 150; n += 1) home.name(home.rollout({ turns: [['q', 'a']] }).id, `test ${n}`);
    const { manager } = await open(home.root);
    expect(await manager.findThreadsByName('test', 6)).toEqual([id]);
  });
});

describe('a patch of a part of the git facts', () => {
  it('does not bring old values of the others back, where our own index is behind', async () => {
    const home = new TestHome();
    const { id, file } = home.rollout({ meta: { git: { commit_hash: 'old' } }, turns: [['q', 'a']] });
    const { manager } = await open(home.root, { indexUse: 'create' });
    const meta = { ...linesOf(file)[0].payload, git: { commit_hash: 'new', repository_url: 'u' } };
    writeFileSync(file, `${JSON.stringify({ timestamp: AT, type: 'session_meta', payload: meta })}\n`, { flag: 'a' });
    const { thread } = await manager.updateThreadMetadata(id, { gitInfo: { branch: 'b' } });
    expect(thread.git).toEqual({ sha: 'new', branch: 'b', originUrl: 'u' });
  });
});
