import { bareMessage } from '../protocol/bare-line.js';
import { asArray, asNumber, asObject, asString, type JsonObject, parseJson } from '../protocol/json.js';
import { asOutputText, type ItemDraft, outputBody, shellCommand, shortFields, textBody } from './item-draft.js';

/** The item that a response item of a rollout of mid-2025 makes, or undefined when it makes none. */
export function itemFromBareResponse(item: JsonObject): ItemDraft | undefined {
  switch (item['type']) {
    case 'message': {
      const message = bareMessage(item);
      const type = message?.role === 'user' ? 'userMessage' : 'agentMessage';
      return message && { type, body: textBody('text', message.text) };
    }
    case 'reasoning': {
      const texts = (asArray(item['summary']) ?? []).map((part) => asString(asObject(part)?.['text']) ?? '');
      const text = texts.filter((part) => part !== '').join('\n\n');
      return text === '' ? undefined : { type: 'reasoning', body: outputBody('text', text) };
    }
    case 'function_call':
      return callItem(item, asObject(parseJson(asString(item['arguments']) ?? '')));
    case 'local_shell_call':
      return callItem({ ...item, name: 'shell' }, asObject(item['action']));
    case 'function_call_output':
      return outputItem(item);
    default:
      return undefined;
  }
}

function callItem(item: JsonObject, args: JsonObject | undefined): ItemDraft {
  const command = shellCommand(args?.['command']);
  const itemId = asString(item['call_id']) ?? asString(item['id']);
  if (command !== undefined)
    return { type: 'commandExecution', itemId, fields: shortFields({ command, cwd: args?.['workdir'] }) };
  return {
    type: 'dynamicToolCall',
    itemId,
    fields: shortFields({ tool: item['name'], arguments: args ?? item['arguments'] }),
  };
}

/** What a call put out: to be joined with the call of that id. */
function outputItem(item: JsonObject): ItemDraft {
  const output = asObject(parseJson(asString(item['output']) ?? ''));
  const exitCode = asNumber(asObject(output?.['metadata'])?.['exit_code']);
  const text = asString(output?.['output']) ?? asOutputText(item['output']);
  const status = exitCode === undefined ? undefined : exitCode === 0 ? 'completed' : 'failed';
  return {
    type: 'functionCallOutput',
    itemId: asString(item['call_id']),
    fields: shortFields({ exitCode, status }),
    body: outputBody('aggregatedOutput', text),
  };
}
