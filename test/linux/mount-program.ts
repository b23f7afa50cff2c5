// A program of the tests: mounts proc at DIRECTORY, twice, sets a sysctl through it and prints what came of it.
import { readFileSync, writeFileSync } from 'node:fs';
import { LinuxError } from '../../src/linux/linux-error.ts';
import { mountProc } from '../../src/linux/mount.ts';

const [directory = ''] = process.argv.slice(2);

function outcome(): unknown {
  try {
    mountProc(directory);
    mountProc(directory);
  } catch (error) {
    return { kind: error instanceof LinuxError ? error.kind : String(error) };
  }
  const file = `${directory}/sys/net/core/somaxconn`;
  writeFileSync(file, '5499\n');
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  return {
    somaxconn: readFileSync(file, 'utf8').trim(),
    mounts: mounts.filter((line) => line.includes(` ${directory} `)).length,
    isOwnPid: readFileSync(`${directory}/self/stat`, 'utf8').startsWith(`${process.pid} `),
  };
}

process.stdout.write(JSON.stringify(outcome()));
