import type { StoredThread } from '../store/thread-store.js';

const TITLE_LENGTH = 70;

/** What a person calls a thread: its name, else the first line of its preview. */
export function titleOf(thread: StoredThread): string {
  const text = (thread.name ?? thread.preview.split('\n')[0]?.trim() ?? '').replace(/\s+/g, ' ');
  const title = text === '' ? `(no messages) ${thread.agentNickname ?? ''}`.trim() : text;
  const characters = [...title];
  return characters.length > TITLE_LENGTH ? `${characters.slice(0, TITLE_LENGTH - 1).join('')}…` : title;
}

/** Local time to the minute. */
export function shortTime(time: number): string {
  const date = new Date(time - new Date(time).getTimezoneOffset() * 60_000);
  return Number.isNaN(date.getTime()) ? '?' : date.toISOString().slice(0, 16).replace('T', ' ');
}
