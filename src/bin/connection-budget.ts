import { runCommand } from '../cli/program.ts';
import { spreadObjectPath } from './spread-object.ts';

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());

const { status, stdout, stderr } = await runCommand(process.argv.slice(2), {
  signal: stop.signal,
  spreadObjectPath: spreadObjectPath(),
  writeProgress: (line) => void process.stderr.write(line),
});
process.stdout.write(stdout);
process.stderr.write(stderr);
process.exitCode = status;
