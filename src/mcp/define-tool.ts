import { z } from 'zod';
import type { ThreadManager } from '../threads/thread-manager.js';
import { argumentProblem } from './argument-error.js';

export interface ToolContext {
  readonly manager: ThreadManager;
}

/**
 * What a client may assume of a tool: does a call change anything, and does a second, equal one change more? None of ours
 * reaches beyond the store, so `openWorldHint` is always false.
 */
export type ToolKind = 'read' | 'reversibleWrite' | 'addingWrite';

/** A tool as `tools/list` shows it. */
export interface ToolDefinition {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly inputSchema: JsonSchema;
  readonly outputSchema: JsonSchema;
  readonly annotations: {
    readonly title: string;
    readonly readOnlyHint: boolean;
    readonly destructiveHint: boolean;
    readonly idempotentHint: boolean;
    readonly openWorldHint: boolean;
  };
}

export interface JsonSchema {
  readonly type: 'object';
  readonly properties: Readonly<Record<string, object>>;
  readonly [key: string]: unknown;
}

/** One tool, its types folded into `call`. */
export interface Tool {
  readonly definition: ToolDefinition;
  readonly kind: ToolKind;
  /** What a successful result conforms to. */
  readonly result: z.ZodObject;
  /** Checks the arguments, then runs the tool. Throws ThreadkeeperError. */
  call(args: unknown, context: ToolContext): Promise<object>;
}

export interface ToolSpecification<Input extends z.ZodObject, Output extends z.ZodObject> {
  /** snake_case; the file is named after it. */
  readonly name: string;
  readonly title: string;
  /** What it does, when to use it, what it does not do. */
  readonly description: string;
  readonly kind: ToolKind;
  readonly input: Input;
  readonly output: Output;
  handler(args: z.output<Input>, context: ToolContext): Promise<z.output<Output>>;
}

/** A tool from its parts: types flow from the schemas to the handler. */
export function defineTool<Input extends z.ZodObject, Output extends z.ZodObject>(
  tool: ToolSpecification<Input, Output>,
): Tool {
  const { name, title, description, kind, input, output } = tool;
  const isRead = kind === 'read';
  return {
    kind,
    result: output,
    definition: {
      name,
      title,
      description,
      inputSchema: toJsonSchema(input, 'input'),
      outputSchema: outline(toJsonSchema(output, 'output')),
      annotations: {
        title,
        readOnlyHint: isRead,
        destructiveHint: false,
        idempotentHint: kind !== 'addingWrite',
        openWorldHint: false,
      },
    },
    async call(args, context) {
      const parsed = input.safeParse(args ?? {}, { reportInput: true });
      if (!parsed.success) throw argumentProblem(parsed.error, Object.keys(input.shape));
      return await tool.handler(parsed.data, context);
    },
  };
}

function toJsonSchema(schema: z.ZodObject, io: 'input' | 'output'): JsonSchema {
  const { $schema: _, ...json } = z.toJSONSchema(schema, { io, override: ({ jsonSchema }) => lean(jsonSchema) });
  return { ...json, type: 'object', properties: objectValues(json.properties ?? {}) };
}

/** Bounds that only guard against nonsense are checked but not in the schema, which clients load at every start. */
const GUARD = 1000;

function lean(schema: z.core.JSONSchema.BaseSchema): void {
  if (schema.minLength === 1) delete schema.minLength;
  if (schema.maxLength !== undefined && schema.maxLength >= GUARD) delete schema.maxLength;
  if (schema.maxItems !== undefined && schema.maxItems >= GUARD) delete schema.maxItems;
  if (schema.propertyNames) {
    delete schema.propertyNames;
    delete schema.additionalProperties;
  }
}

function objectValues(properties: Readonly<Record<string, unknown>>): Record<string, object> {
  const entries = Object.entries(properties).filter(([, value]) => typeof value === 'object' && value !== null);
  return Object.fromEntries(entries.map(([key, value]) => [key, Object(value)]));
}

/**
 * The result in outline: its keys and their types. What lies deeper would cost each client some thousand characters,
 * and the results speak for themselves. Clients check a failed result against the same schema, so nothing is required
 * and an error may stand alone.
 */
function outline({ properties }: JsonSchema): JsonSchema {
  const entries = Object.entries(properties).map(([name, value]) => [name, shallow(value)]);
  return { type: 'object', properties: { ...Object.fromEntries(entries), error: { type: 'object' } } };
}

const shallow = (schema: { type?: unknown }): object => ({ type: schema.type });
