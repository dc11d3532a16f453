import type { ThreadId } from '../../../protocol/ids.js';
import { asText } from '../../../protocol/json.js';
import { type LineFacts, readLineFacts } from '../../../protocol/line-facts.js';
import { HeadReader } from '../../../protocol/line-head.js';
import { parseRolloutLine, type RolloutLine } from '../../../protocol/rollout-line.js';
import { type GitInfo, parseSessionMeta, type SessionMeta } from '../../../protocol/session-meta.js';
import type { UserText } from '../../../protocol/user-text.js';
import { PLAIN_FIELD_NAMES, type PlainFieldName, type PlainFields } from '../../../store/thread-fields.js';
import { hasInvalidUtf8, isBlank, lineText, type RawLine } from './line-reader.js';

const HEADS = new HeadReader();

/**
 * What the lines of one rollout say of its thread, gathered line by line in file order, by the rules that Codex
 * applies when it builds a row (docs/codex-home.md, From lines to metadata).
 */
export class RolloutMetadata {
  /** The first session_meta that parses: the owner of the file. */
  meta: SessionMeta | undefined;
  /** True when the first line that is not blank is that meta; else Codex refuses to read the file. */
  startsWithMeta = false;
  /** The plain fields that the lines say. */
  readonly fields: { -readonly [Name in PlainFieldName]?: PlainFields[Name] } = {};
  git: GitInfo | undefined;
  preview = '';
  lineCount = 0;
  readonly #nameId: ThreadId | undefined;

  /** `nameId` is the id in the file's name. */
  constructor(nameId?: ThreadId) {
    this.#nameId = nameId;
  }

  /** Lines that are no rollout lines, and lines with bytes that are not UTF-8. */
  badLines = 0;
  invalidUtf8Lines = 0;
  #goal = '';

  /** Takes a line into account. Most lines hold no metadata. Their first bytes show that, so they are not parsed. */
  observe(raw: RawLine): void {
    if (isBlank(raw)) return;
    this.lineCount += 1;
    if (raw.isCut) return;
    const head = HEADS.head(raw.chunk, raw.from, raw.to);
    if (head && !head.facts?.hasMetadata) return;
    if (head?.payloadType === 'item_completed' && this.fields.firstUserMessage !== undefined) return;
    if (hasInvalidUtf8(raw)) this.invalidUtf8Lines += 1;
    const line = parseRolloutLine(lineText(raw));
    if (!line) {
      this.badLines += 1;
      return;
    }
    const { meta } = this;
    const isHead = this.lineCount <= OWN_META_LINES;
    if (isHead && meta?.historyMode === 'legacy' && line.ordinal !== undefined)
      this.meta = { ...meta, historyMode: 'paginated' };
    if (line.type === 'session_meta') this.#observeMeta(line);
    else this.#observeFacts(readLineFacts(line));
  }

  /** The list's text: the first thing a person wrote, else the goal. */
  get displayPreview(): string {
    return this.preview || this.#goal;
  }

  #observeMeta(line: RolloutLine): void {
    const meta = parseSessionMeta(line);
    if (!meta) {
      this.badLines += 1;
      return;
    }
    if (!this.meta) {
      this.meta = meta;
      this.startsWithMeta = this.lineCount === 1;
    } else if (meta.id === this.#nameId && this.meta.id !== meta.id && this.lineCount <= OWN_META_LINES) {
      // A fork's file can begin with the session_meta of its source: its values are not those of this thread.
      this.meta = { ...meta, historyMode: this.meta.historyMode };
      Object.assign(this.fields, { threadSource: undefined, memoryMode: undefined });
      this.git = undefined;
    }
    // The copied history of a legacy fork includes the session_metas of its source: they are of another thread.
    if (meta.id !== this.meta.id) return;
    const { threadSource, modelProvider, memoryMode } = meta;
    this.#setFields({
      threadSource,
      modelProvider,
      memoryMode,
      cliVersion: asText(meta.cliVersion),
      cwd: meta.cwd || undefined,
    });
    if (meta.git) this.git = meta.git;
  }

  #observeFacts(facts: LineFacts): void {
    this.fields.cwd ??= facts.firstCwd;
    this.#setFields(facts);
    this.#goal ||= facts.goal ?? '';
    if (facts.userText) this.#observeUserText(facts.userText);
  }

  #observeUserText(user: UserText): void {
    if (this.fields.firstUserMessage !== undefined) return;
    this.fields.firstUserMessage = user.text || undefined;
    this.preview = user.text;
    if (!user.isLabel) this.fields.title ??= user.text || undefined;
  }

  #setFields(facts: Partial<PlainFields>): void {
    for (const name of PLAIN_FIELD_NAMES) {
      if (facts[name] !== undefined) Object.assign(this.fields, { [name]: facts[name] });
    }
  }
}

/** Among so many first lines the thread's own session_meta is looked for. */
const OWN_META_LINES = 50;

/** True for a file that holds no thread: an empty one, or one without any line that parses. */
export function isNoThread({ meta, lineCount, badLines }: RolloutMetadata): boolean {
  return lineCount === 0 || (!meta && badLines === lineCount);
}
