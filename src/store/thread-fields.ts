interface PlainField {
  readonly type: 'text' | 'number';
  /** The column of the `threads` table in a state DB (docs/codex-home.md, State DB). */
  readonly column: string;
  /** What that column holds when the thread has no value. */
  readonly whenAbsent: string | number | null;
  /** True when a patch may clear the field with null. */
  readonly isClearable: boolean;
}

/**
 * The metadata fields of a thread that every store keeps as they are. A new field is an entry here, a migration of each
 * database, and the rule by which rollout lines say it (`protocol/line-facts.ts`). PostgreSQL's columns have the names
 * of the fields in snake case. Fields with rules of their own (name, git, source, times) are in `StoredThread`.
 */
export const PLAIN_FIELDS = {
  title: { type: 'text', column: 'title', whenAbsent: '', isClearable: false },
  firstUserMessage: { type: 'text', column: 'first_user_message', whenAbsent: '', isClearable: false },
  cwd: { type: 'text', column: 'cwd', whenAbsent: '', isClearable: false },
  threadSource: { type: 'text', column: 'thread_source', whenAbsent: null, isClearable: true },
  modelProvider: { type: 'text', column: 'model_provider', whenAbsent: '', isClearable: false },
  model: { type: 'text', column: 'model', whenAbsent: null, isClearable: false },
  reasoningEffort: { type: 'text', column: 'reasoning_effort', whenAbsent: null, isClearable: false },
  agentNickname: { type: 'text', column: 'agent_nickname', whenAbsent: null, isClearable: true },
  agentRole: { type: 'text', column: 'agent_role', whenAbsent: null, isClearable: true },
  agentPath: { type: 'text', column: 'agent_path', whenAbsent: null, isClearable: true },
  tokensUsed: { type: 'number', column: 'tokens_used', whenAbsent: 0, isClearable: false },
  memoryMode: { type: 'text', column: 'memory_mode', whenAbsent: 'enabled', isClearable: false },
  cliVersion: { type: 'text', column: 'cli_version', whenAbsent: '', isClearable: false },
  approvalMode: { type: 'text', column: 'approval_mode', whenAbsent: 'on-request', isClearable: false },
  // JSON text. Codex's column has an older name.
  permissionProfile: {
    type: 'text',
    column: 'sandbox_policy',
    whenAbsent: '{"type":"read-only"}',
    isClearable: false,
  },
} as const satisfies Record<string, PlainField>;

export type PlainFieldName = keyof typeof PLAIN_FIELDS;

type ValueOf<Name extends PlainFieldName> = (typeof PLAIN_FIELDS)[Name]['type'] extends 'number' ? number : string;

/** The value of each plain field; undefined is unknown. */
export type PlainFields = { readonly [Name in PlainFieldName]: ValueOf<Name> | undefined };

/** An absent key keeps the field, a value sets it, null clears it. */
export type PlainFieldPatch = {
  readonly [Name in PlainFieldName]?:
    | ValueOf<Name>
    | ((typeof PLAIN_FIELDS)[Name]['isClearable'] extends true ? null : never)
    | undefined;
};

export const PLAIN_FIELD_NAMES = Object.keys(PLAIN_FIELDS) as readonly PlainFieldName[];

/** The plain fields by a function of their names. A function that gives an empty text says that there is no value. */
export function plainFields(fieldOf: (name: PlainFieldName) => unknown): PlainFields {
  const fields: Record<string, unknown> = {};
  for (const name of PLAIN_FIELD_NAMES) {
    const value = fieldOf(name);
    fields[name] = value === '' || value === null ? undefined : value;
  }
  return fields as PlainFields;
}

/** The plain fields of something that has some of them. */
export function pickPlainFields(fields: Partial<Record<PlainFieldName, unknown>>): PlainFields {
  return plainFields((name) => fields[name]);
}
