import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

const MAIN = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../dist/main.js');

interface Answer {
  readonly result?: { readonly isError?: boolean; readonly structuredContent?: unknown };
  readonly error?: { readonly message: string };
}

/**
 * The built server, spoken to as plainly as the peer: one JSON-RPC message a line over stdio, so that the figures of
 * the two differ by the servers and not by their clients.
 */
export class OurProcess {
  readonly #child: ChildProcess;
  readonly #pending = new Map<number, (answer: Answer) => void>();
  #lastId = 0;

  /** Without a home, flags or environment name a database. */
  constructor(home: string | undefined, flags: readonly string[] = []) {
    const args = [MAIN, ...(home === undefined ? [] : ['--home', home]), ...flags];
    this.#child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    if (!this.#child.stdout) throw new Error('no stdout');
    readline.createInterface({ input: this.#child.stdout }).on('line', (line) => {
      const { id, ...answer } = JSON.parse(line) as Answer & { id: number };
      this.#pending.get(id)?.(answer);
      this.#pending.delete(id);
    });
  }

  async init(): Promise<void> {
    const clientInfo = { name: 'bench', version: '1.0.0' };
    await this.#request('initialize', { protocolVersion: '2025-06-18', capabilities: {}, clientInfo });
    this.#write({ jsonrpc: '2.0', method: 'notifications/initialized' });
  }

  /** The structured result of a tool. Throws when the call fails. */
  async call<T>(name: string, args: object): Promise<T> {
    const { result, error } = await this.#request('tools/call', { name, arguments: args });
    if (error || result?.isError) throw new Error(`${name}: ${JSON.stringify(error ?? result?.structuredContent)}`);
    return result?.structuredContent as T;
  }

  /** Highest and present resident memory, MB. */
  memory(): { peakMB: number; nowMB: number } {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8');
    const megabytes = (key: string) => Number(new RegExp(`${key}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) / 1024;
    return { peakMB: megabytes('VmHWM'), nowMB: megabytes('VmRSS') };
  }

  async stop(): Promise<void> {
    const exited = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.stdin?.end();
    await exited;
  }

  #request(method: string, params: object): Promise<Answer> {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve) => {
      this.#pending.set(id, resolve);
      this.#write({ jsonrpc: '2.0', id, method, params });
    });
  }

  #write(message: object): void {
    this.#child.stdin?.write(`${JSON.stringify(message)}\n`);
  }
}
