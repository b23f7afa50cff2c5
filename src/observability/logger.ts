import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino';

export type { Logger } from 'pino';

export const logLevels = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof logLevels)[number];

export interface LoggerOptions {
  readonly level: LogLevel;
  /** Which program writes: controller, webhook, agent. */
  readonly name: string;
  /** Default: standard output, written at once, so that the last lines of a dying program are not lost. */
  readonly destination?: DestinationStream;
}

/**
 * One JSON object a line: {"level":"info","time":"2026-11-23T12:00:00.000Z","name":"agent","message":"…", …}. Keys are
 * lowerCamelCase with their unit; `error` is written with type, message, stack, kind and its chain of causes.
 */
export function createLogger({ level, name, destination }: LoggerOptions): Logger {
  const options = {
    level,
    base: { name },
    messageKey: 'message',
    errorKey: 'error',
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { error: serializeError },
  };
  return destination === undefined ? pino(options, pino.destination({ sync: true })) : pino(options, destination);
}

interface SerializedError {
  readonly type: string;
  readonly message: string;
  readonly kind?: string;
  readonly stack?: string;
  readonly cause?: SerializedError;
}

/** Deep enough for every chain of ours, and an end for one that bites its tail. */
const deepestCause = 5;

/** An error's own other fields are not written: they may hold requests, and requests hold tokens. */
function serializeError(error: unknown, depth = 0): SerializedError {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error) };
  const kind = 'kind' in error && typeof error.kind === 'string' ? { kind: error.kind } : {};
  const stack = depth === 0 && error.stack !== undefined ? { stack: error.stack } : {};
  const hasCause = error.cause !== undefined && depth < deepestCause;
  const cause = hasCause ? { cause: serializeError(error.cause, depth + 1) } : {};
  return { type: error.name, message: error.message, ...kind, ...stack, ...cause };
}
