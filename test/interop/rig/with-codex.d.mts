// Types of with-codex.mjs. The comments are with the code, in lib/.

export interface Notification {
  method: string;
  params: { threadId?: string; turn?: { id: string; status: string } };
}

export declare class AppServer {
  constructor(home: string, options?: { binary?: string; args?: string[]; cwd?: string; env?: Record<string, string> });
  readonly pid: number | undefined;
  readonly notifications: Notification[];
  readonly stderr: string;
  readonly initMs: number | null;
  init(capabilities?: object): Promise<object>;
  /** The caller says what the method answers. */
  send<T>(method: string, params?: object): Promise<T>;
  try<T>(method: string, params?: object): Promise<{ ok?: T; error?: { code?: number; message: string } }>;
  waitForNotification(matches: (note: Notification) => boolean, timeoutMs?: number): Promise<Notification>;
  runTurn(threadId: string, input: string | object[], extra?: object): Promise<{ id: string; status: string }>;
  listAll<T>(method: string, params?: object, maxPages?: number): Promise<{ rows: T[]; pages: number }>;
  memory(): { peakMB: number; nowMB: number } | null;
  stop(): Promise<{ code: number | null; signal: string | null }>;
}

export declare function startMock(options?: {
  multiAgent?: 'v1' | 'v2';
}): Promise<{ port: number; stop(): Promise<void> }>;
export declare function writeConfig(
  home: string,
  port: number,
  options?: { model?: string; maxAgentDepth?: number },
): void;
export declare function installCodex(): string;
export declare const CODEX_VERSION: string;
export declare function makeRealHome(
  folder: string,
): Promise<{ home: string; threads: Record<string, { id: string; what: string }> }>;
export declare function sleep(ms: number): Promise<void>;
