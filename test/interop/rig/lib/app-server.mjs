// A client of `codex app-server` (JSON-RPC, one message a line, over stdio).
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import readline from 'node:readline';
import { endWithParent } from './children.mjs';
import { codexBinary, codexEnvironment } from './paths.mjs';

/** The capabilities that open the experimental part of the protocol. */
const EXPERIMENTAL = { experimentalApi: true, requestAttestation: false };

/** An error answer. `rpc` is the error object as it came: {code, message, data}. */
class RpcError extends Error {
  constructor(method, rpc) {
    super(`${method}: ${rpc.message} (${rpc.code})`);
    this.rpc = rpc;
  }
}

/**
 * A running app-server and a connection to it.
 *
 *     const server = new AppServer(home);
 *     await server.init();
 *     const { data } = await server.send('thread/list', { limit: 25 });
 *     await server.stop();
 */
export class AppServer {
  /**
   * Start the process. Call init() next.
   *
   * @param {string} home  CODEX_HOME
   * @param {object} [options]
   * @param {string} [options.binary]  default: the installed Codex; any program that speaks the same protocol will do
   * @param {string[]} [options.args]  default ['app-server']
   * @param {string} [options.cwd]  default: the system's temporary folder
   * @param {Record<string, string>} [options.env]  more environment variables
   * @param {string} [options.transcriptFile]  write every message to this file at stop(), one JSON object a line
   * @param {(method: string, params: any) => any} [options.onRequest]  answers the server's own requests;
   *   without it they are refused with -32601
   */
  constructor(
    home,
    { binary = codexBinary(), args = ['app-server'], cwd = os.tmpdir(), env = {}, transcriptFile, onRequest } = {},
  ) {
    this.startedAt = performance.now();
    /** Every notification received so far: {method, params}. */
    this.notifications = [];
    /** Everything the process wrote to standard error. */
    this.stderr = '';
    /** Milliseconds from the start of the process to the end of init(). */
    this.initMs = null;
    /** True once the process has ended. */
    this.ended = false;
    this.transcript = transcriptFile ? [] : null;
    this.transcriptFile = transcriptFile;
    this.onRequest = onRequest;
    this.lastId = 0;
    this.pending = new Map();
    this.watchers = new Set();
    this.child = endWithParent(
      spawn(binary, args, {
        cwd,
        env: codexEnvironment(home, { RUST_LOG: process.env.RUST_LOG || 'warn', ...env }),
        stdio: ['pipe', 'pipe', 'pipe'],
      }),
    );
    this.pid = this.child.pid;
    this.exited = this.#watchProcess();
  }

  /** Shake hands. Resolves with the server's answer to `initialize`. */
  async init(capabilities = EXPERIMENTAL) {
    const clientInfo = { name: 'threadkeeper-interop', title: 'threadkeeper interop', version: '1.0.0' };
    const answer = await this.send('initialize', { clientInfo, capabilities });
    this.notify('initialized');
    this.initMs = performance.now() - this.startedAt;
    return answer;
  }

  /** Send a request. Resolves with its result; rejects with RpcError, or Error when the process ends. */
  send(method, params = {}) {
    if (this.ended) {
      return Promise.reject(new Error(`${method}: the app-server has ended`));
    }
    this.lastId += 1;
    const id = this.lastId;
    return new Promise((resolve, reject) => {
      this.pending.set(id, { method, resolve, reject });
      this.#write({ id, method, params });
    });
  }

  /** Like send(), but never rejects: resolves with {ok: result} or {error: {code, message}}. */
  async try(method, params) {
    try {
      return { ok: await this.send(method, params) };
    } catch (error) {
      return { error: error.rpc || { message: error.message } };
    }
  }

  /** Send a notification. */
  notify(method, params) {
    this.#write(params === undefined ? { method } : { method, params });
  }

  /** Resolves with the first notification, past or future, that `matches` accepts. */
  waitForNotification(matches, timeoutMs = 60_000) {
    const seen = this.notifications.find(matches);
    if (seen) {
      return Promise.resolve(seen);
    }
    return new Promise((resolve, reject) => {
      const watcher = { matches, resolve, reject };
      watcher.timer = setTimeout(() => {
        this.watchers.delete(watcher);
        reject(new Error(`no such notification within ${timeoutMs} ms`));
      }, timeoutMs);
      this.watchers.add(watcher);
    });
  }

  /**
   * Run a turn in a loaded thread and wait for its end.
   *
   * @param {string} threadId
   * @param {string|object[]} input  a text, or the protocol's input items
   * @param {object} [extra]  more parameters of turn/start
   */
  async runTurn(threadId, input, extra = {}) {
    const items = typeof input === 'string' ? [{ type: 'text', text: input, text_elements: [] }] : input;
    const { turn } = await this.send('turn/start', { threadId, input: items, ...extra });
    const done = await this.waitForNotification(
      (note) => note.method === 'turn/completed' && note.params.turn.id === turn.id,
    );
    return done.params.turn;
  }

  /** All pages of a list method: {rows, pages}. */
  async listAll(method, params = {}, maxPages = 5000) {
    const rows = [];
    let cursor = null;
    let pages = 0;
    do {
      const page = await this.send(method, { ...params, cursor });
      rows.push(...page.data);
      cursor = page.nextCursor;
      pages += 1;
    } while (cursor && pages < maxPages);
    return { rows, pages };
  }

  /** Resident memory, now and at its highest, in MB. Null where there is no /proc. */
  memory() {
    try {
      const status = fs.readFileSync(`/proc/${this.pid}/status`, 'utf8');
      const megabytes = (name) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)[1]) / 1024;
      return { peakMB: megabytes('VmHWM'), nowMB: megabytes('VmRSS') };
    } catch {
      return null;
    }
  }

  /** Close its input and wait for its end; kill it after 5 s. Resolves with {code, signal}. */
  async stop() {
    if (this.transcript) {
      fs.writeFileSync(this.transcriptFile, this.transcript.map((message) => `${JSON.stringify(message)}\n`).join(''));
    }
    this.child.stdin.end();
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 5000);
    const end = await this.exited;
    clearTimeout(timer);
    return end;
  }

  #watchProcess() {
    this.child.stdin.on('error', () => {});
    this.child.stderr.setEncoding('utf8').on('data', (text) => {
      this.stderr += text;
    });
    readline.createInterface({ input: this.child.stdout }).on('line', (line) => this.#receive(line));
    return new Promise((resolve) => {
      this.child.once('error', (error) => {
        this.#end(error.message);
        resolve({ code: null, signal: null });
      });
      this.child.once('close', (code, signal) => {
        this.#end(`the app-server ended (${signal || code})`);
        resolve({ code, signal });
      });
    });
  }

  #end(reason) {
    this.ended = true;
    for (const { method, reject } of this.pending.values()) {
      reject(new Error(`${method}: ${reason}`));
    }
    this.pending.clear();
    for (const watcher of this.watchers) {
      clearTimeout(watcher.timer);
      watcher.reject(new Error(reason));
    }
    this.watchers.clear();
  }

  #write(message) {
    this.transcript?.push({ direction: 'sent', ...message });
    this.child.stdin.write(`${JSON.stringify(message)}\n`);
  }

  #receive(line) {
    let message;
    try {
      message = JSON.parse(line);
    } catch {
      return;
    }
    this.transcript?.push({ direction: 'received', ...message });
    if (message.method && message.id !== undefined) {
      this.#answer(message);
    } else if (message.method) {
      this.#noteArrived(message);
    } else {
      this.#settle(message);
    }
  }

  #settle({ id, result, error }) {
    const call = this.pending.get(id);
    if (!call) {
      return;
    }
    this.pending.delete(id);
    if (error) {
      call.reject(new RpcError(call.method, error));
    } else {
      call.resolve(result);
    }
  }

  #noteArrived(message) {
    this.notifications.push(message);
    for (const watcher of this.watchers) {
      if (watcher.matches(message)) {
        clearTimeout(watcher.timer);
        this.watchers.delete(watcher);
        watcher.resolve(message);
      }
    }
  }

  async #answer({ id, method, params }) {
    if (!this.onRequest) {
      this.#write({ id, error: { code: -32601, message: `the rig does not answer ${method}` } });
      return;
    }
    try {
      this.#write({ id, result: await this.onRequest(method, params) });
    } catch (error) {
      this.#write({ id, error: { code: -32603, message: String(error.message || error) } });
    }
  }
}
