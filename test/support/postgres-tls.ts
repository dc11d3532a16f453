import { execFileSync } from 'node:child_process';
import { appendFileSync, chownSync, statSync } from 'node:fs';
import path from 'node:path';

/**
 * Turns TLS on in a server of ours, with a certificate that it signs itself for `name`; returns the certificate's file.
 * The server has to be restarted then.
 */
export function turnTlsOn(directory: string, name: string): string {
  const data = path.join(directory, 'data');
  const key = path.join(data, 'server.key');
  const certificate = path.join(data, 'server.crt');
  const subject = ['-subj', '/CN=threadkeeper test', '-addext', `subjectAltName=${name}`];
  const args = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', key, '-out', certificate];
  execFileSync('openssl', [...args, ...subject], { stdio: 'pipe' });
  const { uid, gid } = statSync(data);
  for (const file of [key, certificate]) chownSync(file, uid, gid);
  appendFileSync(path.join(data, 'postgresql.conf'), 'ssl = on\n');
  return certificate;
}
