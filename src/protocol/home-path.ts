import os from 'node:os';
import path from 'node:path';

/** A path in which a leading `~` means the user's home directory; other paths as they are. */
export function withHome(file: string): string {
  return file === '~' || /^~[/\\]/.test(file) ? path.join(os.homedir(), file.slice(1)) : file;
}
