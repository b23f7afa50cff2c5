import { runAgent } from '../agent/run.ts';
import { createLogger } from '../observability/logger.ts';
import { agentOptionsFrom, OptionError } from './agent-options.ts';

/** Exit status: 0 after SIGTERM or SIGINT, 2 for options that are wrong, 1 where it cannot start. */
async function main(): Promise<number> {
  const { logLevel, ...options } = agentOptionsFrom(process.argv.slice(2), process.env);
  const logger = createLogger({ level: logLevel, name: 'agent' });
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
  const version = process.env['CONNECTIONBUDGET_VERSION'] ?? 'development';
  // In a bundle the worker's body is a file beside this one.
  const workerUrl = import.meta.url.endsWith('.js')
    ? new URL('./namespace-worker-thread.js', import.meta.url)
    : undefined;
  await runAgent({ ...options, version, logger, workerUrl }, stop.signal);
  logger.info('stopped');
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  const isWrongOption = error instanceof OptionError;
  process.stderr.write(`${isWrongOption ? error.message : String(error)}\n`);
  process.exitCode = isWrongOption ? 2 : 1;
}
