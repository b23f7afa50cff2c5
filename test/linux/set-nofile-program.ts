// A program of the tests: sets nofile of the process PID as told and prints what came of it.
import { LinuxError } from '../../src/linux/linux-error.ts';
import { readProcess } from '../../src/linux/proc.ts';
import { setNofile } from '../../src/linux/rlimits.ts';

const [pid = 0, soft = 0, hard = 0] = process.argv.slice(2).map(Number);

function outcome(): unknown {
  try {
    return setNofile(readProcess(pid), { soft, hard });
  } catch (error) {
    return error instanceof LinuxError ? { kind: error.kind, errno: error.errno, message: error.message } : { error };
  }
}

process.stdout.write(JSON.stringify(outcome()));
