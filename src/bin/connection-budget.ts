import { runCommand } from '../cli/program.ts';
import { bpfObjectPath } from './bpf-object-path.ts';

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());

const { status, stdout, stderr } = await runCommand(process.argv.slice(2), {
  signal: stop.signal,
  spreadObjectPath: bpfObjectPath('spread'),
  writeProgress: (line) => void process.stderr.write(line),
});
process.stdout.write(stdout);
process.stderr.write(stderr);
process.exitCode = status;
