const started = performance.now();

/** Progress for a person: on stderr, with the seconds since the start. */
export function report(message: string): void {
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  process.stderr.write(`[${seconds.padStart(4)} s] ${message}\n`);
}

/** Runs a command's work; SIGINT and SIGTERM abort it. A failure is one message on stderr and exit status 1. */
export async function interruptible(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort());
  try {
    await work(controller.signal);
  } catch (error) {
    process.exitCode = 1;
    report(controller.signal.aborted ? 'interrupted' : messageOf(error));
  }
}

/** The message and those of its causes, outermost first. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}\n  ${messageOf(error.cause)}`;
}
