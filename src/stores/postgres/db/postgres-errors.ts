import {
  conflict,
  internalError,
  StoreUnreachable,
  systemErrorCode,
  ThreadkeeperError,
} from '../../../protocol/errors.js';

/** SQLSTATE classes and codes of a connection that is gone, or could not be made for now. */
const UNREACHABLE = /^(08...|57P0[123]|53300)$/;
const NETWORK: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT',
]);
/** Driver messages, without a code, for a connection that ended or could not be made in time. */
const CONNECTION_ENDED =
  /Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client has encountered/i;

/** True when the database cannot be reached or the connection was lost: the statement is not at fault. */
export function isUnreachable(error: unknown): boolean {
  const code = systemErrorCode(error) ?? '';
  if (UNREACHABLE.test(code) || NETWORK.has(code)) return true;
  return error instanceof AggregateError
    ? error.errors.some(isUnreachable)
    : error instanceof Error && CONNECTION_ENDED.test(error.message);
}

/** True for a transaction that lost against another one and can be tried again. */
export function isTransactionConflict(error: unknown): boolean {
  return ['40001', '40P01'].includes(systemErrorCode(error) ?? '');
}

/** A failure of the database as an error of the closed set. It holds no statement, no value and no credentials. */
export function databaseFailure(error: unknown): ThreadkeeperError {
  if (error instanceof ThreadkeeperError) return error;
  const code = systemErrorCode(error) ?? 'no code';
  if (isUnreachable(error)) {
    return new StoreUnreachable(
      `the database cannot be reached (${code === 'no code' ? 'the connection ended' : code})`,
      'Check that PostgreSQL runs and takes connections, then call again; nothing was acknowledged.',
      error,
    );
  }
  const known = KNOWN[code] ?? failureFromMessage(error);
  if (known) return known(error);
  if (isUntrusted(code)) {
    return internalError(
      `the certificate of the database is not trusted (${code})`,
      'Name its CA with sslrootcert in --store, or encrypt without checking it: sslmode=require.',
      error,
    );
  }
  return internalError(`the database refused a statement (${code})`, 'See the log of the server (stderr).', error);
}

/** What the driver says without a code. */
function failureFromMessage(error: unknown): ((error: unknown) => ThreadkeeperError) | undefined {
  if (!(error instanceof Error)) return undefined;
  if (error.message.includes('does not support SSL')) {
    return refused('the database takes no TLS', 'Turn it on there, or use sslmode=disable in --store.');
  }
  return error.message.includes('password must be')
    ? refused('the database wants a password', 'Give one in --store, PGPASSWORD or the password file of libpq.')
    : undefined;
}

function isUntrusted(code: string): boolean {
  return /CERT|^ERR_TLS|^UNABLE_TO_VERIFY/.test(code);
}

const exhausted = (message: string, hint: string) => (cause: unknown) =>
  new ThreadkeeperError('resource_exhausted', message, hint, { cause });

const refused = (message: string, hint: string) => (cause: unknown) => internalError(message, hint, cause);

const KNOWN: Readonly<Record<string, (error: unknown) => ThreadkeeperError>> = {
  EINVAL: refused('the host name in the store URL is not valid', 'Check the URL of --store.'),
  '57014': exhausted('the database took too long', 'Ask for less: a smaller page, or a narrower filter.'),
  '53100': exhausted('the disk of the database is full', 'Nothing was changed. Free some space there.'),
  '53200': exhausted('the database is out of memory', 'Try again later.'),
  '54000': exhausted('a value is larger than the database takes', 'Nothing was changed. Send less at once.'),
  '55P03': (error) => conflict('another server is changing the same data', 'Nothing was changed. Try again.', error),
  '28P01': refused('the database refuses the password', 'Check user and password of --store.'),
  '28000': refused('the database refuses the user', 'Check the user of --store, and pg_hba.conf there.'),
  '3D000': refused('there is no such database', 'Make the database that --store names, or name another.'),
  '42501': refused('the database user lacks permission for this', 'Give the user of --store rights on its schema.'),
  '25006': (error) =>
    new ThreadkeeperError('read_only', 'the database is read-only', 'Point --store at the primary server.', {
      cause: error,
    }),
};
