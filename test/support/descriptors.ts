import { readdirSync, readlinkSync } from 'node:fs';

/** The descriptors of this process that point at a file. */
export function descriptorsOf(file: string): number[] {
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === file;
      } catch {
        return false;
      }
    });
}
