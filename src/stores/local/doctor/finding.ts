/** One thing that disagrees, and what to do about it. */
export interface Finding {
  readonly kind: string;
  readonly threadId: string | undefined;
  readonly problem: string;
  readonly remedy: string;
}

export function finding(kind: string, threadId: string | undefined, problem: string, remedy: string): Finding {
  return { kind, threadId, problem, remedy };
}
