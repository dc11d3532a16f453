import type { z } from 'zod';
import { cutText } from '../protocol/cut-text.js';
import { invalidRequest, type ThreadkeeperError } from '../protocol/errors.js';

/** Arguments that a schema refused, as one error: what is wrong with which, and which ones there are. */
export function argumentProblem(error: z.ZodError, names: readonly string[]): ThreadkeeperError {
  const problems = error.issues.map(describe);
  const isNullable = error.issues.some((issue) => issue.path.at(-1) === 'name');
  const hint = `Valid arguments: ${names.join(', ')}.${isNullable ? ' name: null clears it.' : ''}`;
  return invalidRequest(problems.slice(0, 5).join('; '), hint);
}

function describe(issue: z.core.$ZodIssue): string {
  const name = issue.path.map(String).join('.') || 'the arguments';
  switch (issue.code) {
    case 'unrecognized_keys':
      return `unknown argument ${issue.keys.map((key) => `"${cutText(key, 60)}"`).join(', ')}${issue.path.length > 0 ? ` in ${name}` : ''}`;
    case 'invalid_type':
      return issue.input === undefined ? `${name} is required` : `${name} must be ${article(issue.expected)}`;
    case 'invalid_value':
      return `${name} must be one of ${issue.values.map(String).join(', ')}`;
    case 'too_big':
      return `${name} must be at most ${issue.maximum}${unit(issue.origin)}`;
    case 'too_small':
      return issue.origin === 'string' && issue.minimum === 1
        ? `${name} must not be empty`
        : `${name} must be at least ${issue.minimum}${unit(issue.origin)}`;
    case 'invalid_union':
      return `${name} has none of the forms that it may have`;
    case 'custom':
      return `${name} ${issue.message}`;
    default:
      return `${name} is not valid`;
  }
}

function unit(origin: string): string {
  if (origin === 'string') return ' characters long';
  return origin === 'array' ? ' entries long' : '';
}

function article(expected: string): string {
  return /^[aeiou]/.test(expected) ? `an ${expected}` : `a ${expected}`;
}
