// Keeps the named ids while a real home is made.
import { sleep } from '../timing.mjs';

export class Recorder {
  constructor(log = console.error) {
    this.log = log;
    this.threads = {};
  }

  /** Name a thread. Without an id (it could not be made), nothing is kept but a line in the log. */
  name(name, id, what) {
    if (id) this.threads[name] = { id, what };
    else this.log(`${name}: no thread was made`);
  }

  /** The id of a named thread. */
  id(name) {
    const thread = this.threads[name];
    if (!thread) throw new Error(`no thread is named ${name}`);
    return thread.id;
  }

  /** A step is done. Nothing is kept of it here. */
  async changed() {}

  /** Send a request and let its effects settle. Resolves with {ok} or {error}. */
  async request(server, _label, method, params) {
    const result = await server.try(method, params);
    await this.settle();
    return result;
  }

  /** Send several requests: [label, method, params] each. */
  async requests(server, list) {
    for (const [label, method, params] of list) await this.request(server, label, method, params);
  }

  /** Run a turn. */
  async turn(server, _label, threadId, input) {
    await server.runTurn(threadId, input);
    await this.settle(2);
  }

  /** Wait for what Codex writes after it has answered. */
  settle(factor = 1) {
    return sleep(150 * factor);
  }
}
