import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { runModule } from './child-program.ts';

const OWN_NAMESPACES = ['unshare', '--mount', '--net', '--'];
const WITH_READ_ONLY_SYSCTLS = [
  ...OWN_NAMESPACES,
  'sh',
  '-c',
  'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec "$0" "$@"',
];
const WITHOUT_SYS_ADMIN = [...OWN_NAMESPACES, 'setpriv', '--bounding-set=-sys_admin', '--inh-caps=-sys_admin', '--'];

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'connbudget-proc-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

test("a proc of one's own, mounted once, takes sysctls where /proc/sys is read-only", () => {
  const outcome = runModule('mount-program.ts', [join(directory, 'proc')], WITH_READ_ONLY_SYSCTLS);
  expect(outcome).toEqual({ somaxconn: '5499', mounts: 1, isOwnPid: true });
});

test('is not to be had without CAP_SYS_ADMIN', () => {
  expect(runModule('mount-program.ts', [join(directory, 'proc')], WITHOUT_SYS_ADMIN)).toEqual({ kind: 'NotPermitted' });
});
