import path from 'node:path';

/**
 * One way of writing a directory, for directories that are compared: without trailing slashes, Windows separators and their
 * prefixes (`\\?\`, `\\?\UNC\`), accents in one form (NFC: macOS writes the other). Where the file system does not tell
 * cases apart (drives of Windows, shares, and drives as WSL mounts them, `/mnt/c`) the case does not count.
 */
export function cwdKey(directory: string): string {
  const plain = directory
    .normalize('NFC')
    .replace(/^\\\\\?\\UNC\\/i, '\\\\')
    .replace(/^\\\\\?\\/, '');
  const isShare = plain.startsWith('\\\\');
  const isWindows = isShare || /^[a-z]:([\\/]|$)/i.test(plain);
  const normal = path.posix.normalize(isWindows ? plain.replaceAll('\\', '/') : plain);
  const trimmed = normal.length > 1 ? normal.replace(/\/+$/, '') : normal;
  if (!isWindows && !/^\/mnt\/[a-z](\/|$)/i.test(trimmed)) return trimmed;
  return (isShare ? `/${trimmed}` : trimmed).toLowerCase();
}
