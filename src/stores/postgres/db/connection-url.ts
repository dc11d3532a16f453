import { parse, toClientConfig } from 'pg-connection-string';
import { invalidRequest, systemErrorCode, ThreadkeeperError } from '../../../protocol/errors.js';

type ConnectionConfig = ReturnType<typeof toClientConfig>;

/** What libpq knows but for `allow`, which begins without TLS; `no-verify` is the driver's own. */
const SSL_MODES: ReadonlySet<string> = new Set([
  'disable',
  'prefer',
  'require',
  'verify-ca',
  'verify-full',
  'no-verify',
]);

/**
 * The settings of `postgres://user:password@host:port/database?sslmode=…`, TLS as libpq reads it: `require` encrypts,
 * `verify-full` checks the certificate too. Throws `invalid_request`, without any part of the URL.
 */
export function connectionConfig(url: string): ConnectionConfig {
  if (!isPostgresUrl(url)) {
    throw invalidRequest('the store is not a PostgreSQL URL', 'Give postgres://user:password@host:5432/database.');
  }
  try {
    const { searchParams } = new URL(url);
    const mode = searchParams.get('sslmode');
    if (mode !== null && !SSL_MODES.has(mode)) {
      throw invalidRequest('sslmode of the store is not known', `Use one of ${[...SSL_MODES].join(', ')}.`);
    }
    // The parser knows `no-verify` only without libpq compatibility.
    const asLibpq = !searchParams.has('uselibpqcompat') && mode !== 'no-verify' && mode !== null;
    return toClientConfig(parse(url, { useLibpqCompat: asLibpq }));
  } catch (error) {
    throw asProblem(error);
  }
}

export function isPostgresUrl(text: string): boolean {
  return /^postgres(ql)?:\/\//i.test(text);
}

/** Replaces the parser's error, whose message holds parts of the URL. */
function asProblem(error: unknown): unknown {
  if (error instanceof ThreadkeeperError) return error;
  const { path } = Object(error) as { path?: unknown };
  if (systemErrorCode(error) !== undefined && typeof path === 'string') {
    return invalidRequest(
      `a certificate or key file that the store names cannot be read (${systemErrorCode(error)})`,
      'Check sslcert, sslkey and sslrootcert of the URL.',
    );
  }
  if (error instanceof Error && error.message.includes('verify-ca')) {
    return invalidRequest('sslmode=verify-ca needs sslrootcert', 'Name the file of the CA, or use verify-full.');
  }
  return invalidRequest(
    'the URL of the store cannot be understood',
    'Check it: signs of user and password such as @ : / % must be escaped (%40 %3A %2F %25).',
  );
}
