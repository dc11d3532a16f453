import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import type { JSONRPCMessage } from '@modelcontextprotocol/sdk/types.js';
import { parseJson, strictJson } from '../../protocol/json.js';

/**
 * Stdio on which every message is well-formed Unicode, whatever it says: a client with a strict parser (Codex is one)
 * refuses a message that holds half a surrogate pair, and the call that it answers hangs until its timeout.
 */
export class WellFormedStdio extends StdioServerTransport {
  override async send(message: JSONRPCMessage): Promise<void> {
    const text = JSON.stringify(message);
    await super.send(text.includes('\\ud') ? (parseJson(strictJson(message)) as JSONRPCMessage) : message);
  }
}
