/** Why a call to the API server failed; a closed list, so that it can be a metric's label. */
export const kubeErrorKinds = [
  'NotFound',
  'AlreadyExists',
  'Conflict',
  'Forbidden',
  'Unauthorized',
  'Invalid',
  'BadRequest',
  'TooManyRequests',
  'Gone',
  'Unavailable',
  'ServerError',
  'Timeout',
  'Network',
  'Malformed',
  'Aborted',
  'NotLeading',
] as const;
export type KubeErrorKind = (typeof kubeErrorKinds)[number];

/** One entry of `Status.details.causes`: the field and the rule that refused it, or the owner of a conflicting field. */
export interface StatusCause {
  readonly reason?: string;
  readonly message?: string;
  readonly field?: string;
}

/** The part of meta/v1 Status that we read. */
export interface Status {
  readonly message?: string;
  readonly reason?: string;
  readonly code?: number;
  readonly details?: { readonly causes?: readonly StatusCause[]; readonly retryAfterSeconds?: number };
}

interface KubeErrorFields {
  readonly kind: KubeErrorKind;
  readonly status?: number;
  readonly reason?: string;
  readonly retryAfterMs?: number | undefined;
  readonly causes?: readonly StatusCause[];
  readonly cause?: unknown;
}

export class KubeError extends Error {
  readonly kind: KubeErrorKind;
  /** The HTTP status; 0 when there was no answer. */
  readonly status: number;
  /** `Status.reason`, e.g. "AlreadyExists"; "" when the server gave none. */
  readonly reason: string;
  readonly retryAfterMs: number | undefined;
  readonly causes: readonly StatusCause[];

  constructor(message: string, fields: KubeErrorFields) {
    super(message, { cause: fields.cause });
    this.name = 'KubeError';
    this.kind = fields.kind;
    this.status = fields.status ?? 0;
    this.reason = fields.reason ?? '';
    this.retryAfterMs = fields.retryAfterMs;
    this.causes = fields.causes ?? [];
  }
}

const kindByStatus: Readonly<Record<number, KubeErrorKind>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  409: 'Conflict',
  410: 'Gone',
  422: 'Invalid',
  429: 'TooManyRequests',
  503: 'Unavailable',
  504: 'Timeout',
};

/** 409 stands for two things: somebody else's write came first, or the name is taken. */
function kindFor(status: number, reason: string): KubeErrorKind {
  if (status === 409 && reason === 'AlreadyExists') return 'AlreadyExists';
  return kindByStatus[status] ?? (status < 500 ? 'BadRequest' : 'ServerError');
}

/** The error for an answer that is not 2xx, or for a Status object inside a watch stream. */
export function errorForStatus(httpStatus: number, status: Status, retryAfterMs?: number): KubeError {
  const { message, reason, causes, retryAfterSeconds } = statusFields(status);
  return new KubeError(message ?? `the API server answered ${httpStatus}`, {
    kind: kindFor(httpStatus, reason),
    status: httpStatus,
    reason,
    causes,
    retryAfterMs: retryAfterMs ?? (retryAfterSeconds === undefined ? undefined : waitMs(retryAfterSeconds * 1000)),
  });
}

/** What stands between us and the server may write anything: another type of a field is as if it were not there. */
function statusFields({ message, reason, details }: Status) {
  const { causes, retryAfterSeconds } = details ?? {};
  return {
    message: typeof message === 'string' ? message : undefined,
    reason: typeof reason === 'string' ? reason : '',
    causes: Array.isArray(causes) ? causes : [],
    retryAfterSeconds: typeof retryAfterSeconds === 'number' ? retryAfterSeconds : undefined,
  };
}

/** Nobody is away for longer without being asked again: a server says seconds, a proxy may say years. */
const longestRetryAfterMs = 600_000;

const waitMs = (askedMs: number): number => Math.min(Math.max(0, askedMs), longestRetryAfterMs);

/** Retry-After is a number of seconds or an HTTP date (RFC 9110, 10.2.3). 2 → 2000; unreadable → undefined. */
export function parseRetryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined || header.trim() === '') return undefined;
  const seconds = Number(header);
  if (!Number.isNaN(seconds)) return waitMs(seconds * 1000);
  const dateMs = Date.parse(header);
  return Number.isNaN(dateMs) ? undefined : waitMs(dateMs - nowMs);
}

/** The text of an error answer: a Status object, or whatever a proxy in between wrote. */
export function parseStatus(text: string): Status {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null ? parsed : { message: text };
  } catch {
    return text === '' ? {} : { message: text.slice(0, 1024) };
  }
}

/** Whether an error is a KubeError of one of these kinds. */
export function isKubeError(error: unknown, ...kinds: readonly KubeErrorKind[]): error is KubeError {
  return error instanceof KubeError && (kinds.length === 0 || kinds.includes(error.kind));
}
