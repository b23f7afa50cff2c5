import { setImmediate as turn } from 'node:timers/promises';
import { Deadline, rejectedBy } from '../ttrpc/deadline.ts';
import { StatusError, statusCodes } from '../ttrpc/error.ts';
import type { CallContext } from '../ttrpc/server.ts';
import { NriError, RefuseCreation } from './error.ts';

/** For runtimes that do not say how long they wait: the default of containerd and CRI-O. */
const defaultRequestTimeoutMs = 2000;

/** The part of the runtime's time after which we answer ourselves: being late by a moment costs the whole connection. */
const answerWithinShare = 0.9;

export type ReportError = (error: NriError) => void;

export interface Question {
  readonly handler: string;
  /** RefuseCreation is passed on to the runtime. */
  readonly refusable: boolean;
  readonly context: CallContext;
  readonly onError: ReportError;
}

/** Runs a handler for the runtime: its answer, or undefined (nothing to change) when it fails, takes too long or comes too late. */
export async function answer<T>(
  question: Question,
  handle: (signal: AbortSignal) => T | Promise<T>,
): Promise<T | undefined> {
  const { context, onError, refusable } = question;
  using deadline = new Deadline(context.signal, (context.timeoutMs ?? defaultRequestTimeoutMs) * answerWithinShare);
  try {
    deadline.signal.throwIfAborted();
    const handled = handle(deadline.signal);
    return handled instanceof Promise ? await Promise.race([handled, rejectedBy(deadline.signal)]) : handled;
  } catch (error) {
    if (refusable && error instanceof RefuseCreation) {
      throw new StatusError(statusCodes.failedPrecondition, error.message, { cause: error });
    }
    onError(handlerError(question, deadline.signal, error));
    return undefined;
  }
}

/**
 * Before what changes the node: of a process that was stopped the runtime has gone on without it, and the end of the connection
 * is the next to be read. A turn of the event loop reads what is there of a socket, the next one that it has ended (libuv, partial
 * reads).
 */
export async function readOn(): Promise<void> {
  await turn();
  await turn();
}

function handlerError({ handler, context }: Question, deadline: AbortSignal, cause: unknown): NriError {
  if (cause instanceof NriError) return cause;
  if (!deadline.aborted) return new NriError('HandlerFailed', `${handler} failed`, { cause });
  return context.signal.aborted
    ? new NriError('ConnectionLost', `nobody waits for ${handler} any more`, { cause })
    : new NriError('HandlerTimedOut', `${handler} took too long and was answered for`, { cause });
}

/** A part of an event that the protocol allows to be absent, and no runtime leaves out. */
export function requirePart<T>(part: T | undefined, name: string): T {
  if (part === undefined) throw new NriError('IncompleteEvent', `the event has no ${name}`);
  return part;
}
