import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import type { ThreadView } from '../../src/mcp/results/thread-view.js';
import type { TurnView } from '../../src/mcp/results/turn-view.js';

export const PROJECT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const MAIN = path.join(PROJECT, 'dist/main.js');

export interface ToolError {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

export interface ThreadList {
  readonly threads: readonly ThreadView[];
  readonly nextCursor?: string;
  readonly total: number;
  readonly hidden: { readonly archived: number; readonly subagents: number };
  readonly warnings?: readonly string[];
}

export interface ThreadReading {
  readonly thread: ThreadView;
  readonly turns?: readonly TurnView[];
  readonly nextCursor?: string;
  readonly warnings?: readonly string[];
}

export interface TreeResult {
  readonly archived?: readonly string[];
  readonly unarchived?: readonly string[];
  readonly skipped: readonly { readonly threadId: string; readonly reason: string }[];
  readonly failed: readonly { readonly threadId: string; readonly error: ToolError }[];
  readonly dryRun: boolean;
}

/** The built server as a client sees it: its own process, MCP over stdio. */
export class OurServer {
  readonly #client = new Client({ name: 'test', version: '1.0.0' });
  #transport: StdioClientTransport | undefined;
  /** What the server wrote to stderr. */
  stderr = '';

  /** Without a home, flags or environment name a database. */
  constructor(
    private readonly home: string | undefined,
    readonly flags: readonly string[] = [],
    readonly env: Readonly<Record<string, string>> = {},
    /** A command that runs the server, such as one that lowers a limit. */
    readonly through: readonly string[] = [],
  ) {}

  async start(): Promise<this> {
    const server = [process.execPath, MAIN, ...(this.home === undefined ? [] : ['--home', this.home]), ...this.flags];
    const [command = '', ...args] = [...this.through, ...server];
    this.#transport = new StdioClientTransport({
      command,
      args,
      env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...this.env },
      stderr: 'pipe',
    });
    this.#transport.stderr?.on('data', (data) => {
      this.stderr += String(data);
    });
    await this.#client.connect(this.#transport);
    // Makes the client check every result against the tool's output schema.
    await this.#client.listTools();
    return this;
  }

  get client(): Client {
    return this.#client;
  }

  get pid(): number {
    return this.#transport?.pid ?? -1;
  }

  /** The structured result of a tool; a failed call throws with its code. */
  async call<T>(tool: string, args: object): Promise<T> {
    const { isError, structuredContent } = await this.#call(tool, args);
    if (isError) throw new Error(`${tool}: ${JSON.stringify(structuredContent)}`);
    return structuredContent as T;
  }

  /** The error of a call that must fail. */
  async failure(tool: string, args: object): Promise<ToolError> {
    const { isError, structuredContent } = await this.#call(tool, args);
    if (!isError) throw new Error(`${tool} did not fail: ${JSON.stringify(structuredContent).slice(0, 300)}`);
    return (structuredContent as { error: ToolError }).error;
  }

  async #call(name: string, args: object): Promise<{ isError: boolean; structuredContent: unknown }> {
    const result = await this.#client.callTool({ name, arguments: { ...args } });
    const content = result.content as { type: string; text: string }[];
    const text = content[0]?.text ?? '';
    if (text !== JSON.stringify(result.structuredContent)) throw new Error('content and structuredContent differ');
    return { isError: result.isError === true, structuredContent: result.structuredContent };
  }

  /** Every thread that a list gives, page by page. */
  async listAll(args: object = {}): Promise<ThreadView[]> {
    const threads: ThreadView[] = [];
    let cursor: string | undefined;
    do {
      const page: ThreadList = await this.call('list_threads', { limit: 100, ...args, ...(cursor ? { cursor } : {}) });
      threads.push(...page.threads);
      cursor = page.nextCursor;
    } while (cursor);
    return threads;
  }

  /** Every turn of a thread, oldest first, page by page; parts of a turn on several pages are joined. */
  async turnsOf(threadId: string, args: object = {}): Promise<TurnView[]> {
    const turns: TurnView[] = [];
    let cursor: string | undefined;
    do {
      const page: ThreadReading = await this.call('read_thread', {
        threadId,
        order: 'oldestFirst',
        turnLimit: 100,
        ...args,
        ...(cursor ? { cursor } : {}),
      });
      for (const turn of page.turns ?? []) {
        const last = turns.at(-1);
        if (last && last.turnId === turn.turnId) turns[turns.length - 1] = joined(last, turn);
        else turns.push(turn);
      }
      cursor = page.nextCursor;
    } while (cursor);
    return turns;
  }

  async stop(): Promise<void> {
    await this.#client.close();
  }
}

/** A turn that went over a page border; an item that did is joined too. */
function joined(first: TurnView, next: TurnView): TurnView {
  const items = [...first.items];
  for (const item of next.items) {
    const last = items.at(-1);
    const field = item.cut?.field;
    if (last && last.itemId === item.itemId && field !== undefined) {
      items[items.length - 1] = { ...item, [field]: `${last[field]}${item[field]}` };
    } else {
      items.push(item);
    }
  }
  return { ...next, items };
}
